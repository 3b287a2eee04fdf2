"""Examples of requests and answers, by operation. A test holds each against its schema."""

from typing import Any

_INSTANCE_ID = "0d9f6a4e-7c15-4c0e-9a55-1f7f0f5f2b10"
_JOB_ID = "5a1c8f0e-22d7-4d53-8c1c-6b0f7f3f9c21"

JOB: dict[str, Any] = {
    "id": _JOB_ID,
    "instance_id": _INSTANCE_ID,
    "verb": "create",
    "state": "queued",
    "requested_by": {"kind": "key", "name": "ci"},
    "reason": "",
    "error": None,
    "attempts": 0,
    "next_attempt_at": "2026-11-25T12:00:00Z",
    "placement": None,
    "superseded_by": None,
    "created_at": "2026-11-25T12:00:00Z",
    "finished_at": None,
}
INSTANCE: dict[str, Any] = {
    "id": _INSTANCE_ID,
    "name": "train-1",
    "novita_id": None,
    "managed": True,
    "phase": "requested",
    "phase_reason": "create is asked for and not sent to Novita yet",
    "phase_since": "2026-11-25T12:00:00Z",
    "wanted": "running",
    "provider_status": None,
    "provider_error": None,
    "region": None,
    "cluster_id": None,
    "product_id": None,
    "product_name": "RTX 4090",
    "gpu_num": 1,
    "billing_mode": "spot",
    "price_usd_per_hour": None,
    "cost_usd_so_far": "0.000000",
    "spot_status": None,
    "reclaim_at": None,
    "endpoints": [],
    "health": {"state": "none", "checked_at": None, "detail": ""},
    "auto_stop": {
        "mode": "enforce",
        "threshold": None,
        "stop_at": None,
        "policy": None,
        "keep_until": None,
        "keep_reason": None,
    },
    "next_action": {"what": "create", "at": "2026-11-25T12:00:00Z", "why": "it is sent to Novita at once"},
    "last_used_at": None,
    "data_purged_at": None,
    "disk_usd_per_day": None,
    "unverified_since": None,
    "labels": {"team": "vision"},
    "owner": "maya",
    "protected": False,
    "local_data": "disposable",
    "on_reclaim": {"on_notice": "wait", "after": "auto", "save_image": ""},
    "template_id": "100",
    "image_url": "docker.io/pytorch/pytorch:2.5.1-cuda12.4-cudnn9-runtime",
    "open_job": JOB,
    "created_at": "2026-11-25T12:00:00Z",
    "started_at": None,
    "ready_at": None,
    "stopped_at": None,
    "observed_at": None,
}
_WHY: dict[str, Any] = {"why": {"value": {"reason": "the night's run is over"}}}
_RESULTS = {
    "dry_run": True,
    "results": [
        {
            "ref": "train-1",
            "instance_id": _INSTANCE_ID,
            "name": "train-1",
            "ok": True,
            "code": "accepted",
            "detail": "stop is asked for",
            "job_id": None,
        }
    ],
}

REQUESTS: dict[str, dict[str, Any]] = {
    "instances_create": {
        "by template": {
            "value": {"name": "train-1", "product_name": "RTX 4090", "template_id": "100", "labels": {"team": "vision"}}
        },
        "by image, with a price cap": {
            "value": {
                "name": "serve-1",
                "product_name": "RTX 4090",
                "image_url": "docker.io/vllm/vllm-openai:latest",
                "ports": [{"port": 8000, "type": "http"}],
                "health_check": {"http": {"port": 8000, "path": "/health", "status": 200}},
                "billing_mode": "on_demand",
                "max_price_usd_per_hour": "0.75",
                "auto_stop": {"mode": "enforce", "threshold": "30m"},
            }
        },
    },
    "instances_update": {"protect it": {"value": {"protected": True, "reason": "the demo is on Friday"}}},
    "instances_start": _WHY,
    "instances_stop": _WHY,
    "instances_restart": _WHY,
    "instances_migrate": _WHY,
    "instances_release": _WHY,
    "instances_adopt": {"under a name of ours": {"value": {"name": "old-box", "auto_stop": {"mode": "observe"}}}},
    "instances_save_image": {"to a registry": {"value": {"image": "registry.example/team/train:2026-11-25"}}},
    "instances_last_used": {
        "now": {"value": {}},
        "a moment ago": {"value": {"last_used_at": "2026-11-25T11:59:58Z"}},
    },
    "instances_stop_all": {"rehearsed": {"value": {"dry_run": True, "filter": {"labels": {"team": "vision"}}}}},
    "instances_bulk": {"by name": {"value": {"action": "stop", "refs": ["train-1"], "dry_run": True}}},
    "jobs_cancel": _WHY,
    "jobs_retry": _WHY,
    "alarms_acknowledge": {"until Monday": {"value": {"reason": "known, Novita is told", "until": "2030-01-07T09:00:00Z"}}},
    "automation_update": {
        "for a night": {"value": {"paused_until": "2030-01-07T09:00:00Z", "reason": "moving house"}},
        "resume": {"value": {"paused_until": None}},
    },
    "sync_run": {"rehearsed": {"value": {"dry_run": True}}},
    "sync_freeze_lift": {"by_a_person": {"value": {"reason": "The account was emptied on purpose."}}},
    "auto_stop_check": {"rehearsed": {"value": {"dry_run": True}}},
    "webhooks_create": {
        "for a program": {"value": {"url": "https://ci.example/hooks", "types": ["instance.ready", "instance.failed"]}},
        "for people": {
            "value": {
                "url": "https://hooks.slack.com/services/T000/B000/token",
                "format": "slack",
                "min_severity": "warning",
                "time_zone": "Europe/Berlin",
                "quiet_hours": {"from": "22:00", "until": "07:00"},
                "digest_at": "09:00",
            }
        },
    },
    "webhooks_update": {"switch it on again": {"value": {"enabled": True}}},
    "webhooks_rotate_secret": {"both sign for two days": {"value": {"overlap": "2d"}}},
    "webhooks_test": _WHY,
    "webhook_deliveries_redeliver": _WHY,
    "auto_stop_policies_create": {
        "office hours in Berlin": {
            "value": {
                "name": "office",
                "labels": {"team": "vision"},
                "mode": "enforce",
                "threshold": "30m",
                "holds": {"use": None, "gpu": "12h"},
                "time_zone": "Europe/Berlin",
                "schedule": {"mode": "keep_off_between", "stop": "20:00", "start": "08:00", "days": ["mon", "tue"]},
            }
        }
    },
    "auto_stop_policies_update": {"try it on two": {"value": {"mode": "canary", "canary_count": 2}}},
    "instances_keep": {"over night": {"value": {"until": "2030-01-07T09:00:00Z", "reason": "a run ends in the morning"}}},
    "reclaims_check": {"rehearsed": {"value": {"dry_run": True}}},
}
RESPONSES: dict[str, dict[str, Any]] = {
    "instances_list": {"200": {"count": 1, "next": None, "previous": None, "results": [INSTANCE]}},
    "instances_get": {"200": INSTANCE},
    "instances_create": {
        "200": {
            "candidates": [
                {
                    "rank": 1,
                    "product_id": "4090.24c",
                    "product_name": "RTX 4090 24GB",
                    "region": "CN-HK-01",
                    "billing_mode": "spot",
                    "price_usd_per_hour": "0.35",
                    "inventory": "high",
                }
            ],
            "refused": [
                {
                    "product_id": "4090.24c-us",
                    "product_name": "RTX 4090 24GB",
                    "region": "US-CA-06",
                    "billing_mode": "spot",
                    "price_usd_per_hour": "0.41",
                    "inventory": "none",
                    "code": "no_stock",
                    "reason": "no GPU is free there now",
                }
            ],
        },
        "202": INSTANCE,
    },
    "instances_stop": {"202": INSTANCE | {"wanted": "stopped"}},
    "instances_last_used": {
        "200": {"id": _INSTANCE_ID, "name": "train-1", "last_used_at": "2026-11-25T12:00:00Z"},
    },
    "instances_stop_all": {"200": _RESULTS},
    "instances_bulk": {"200": _RESULTS},
    "jobs_get": {"200": JOB},
    "jobs_list": {"200": {"next": None, "previous": None, "results": [JOB]}},
    "automation_get": {"200": {"paused_until": None, "reason": ""}},
}
