"""Named sets of rules beside the default one."""

import datetime

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("autostop", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Policy",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100, unique=True)),
                ("description", models.CharField(blank=True, max_length=500)),
                ("rank", models.PositiveIntegerField(default=100)),
                ("labels", models.JSONField(blank=True, default=dict)),
                ("mode", models.CharField(choices=[("off", "Off"), ("observe", "Observe"), ("canary", "Canary"), ("enforce", "Enforce")], default="observe", max_length=10)),
                ("canary_count", models.PositiveIntegerField(blank=True, null=True)),
                ("canary_percent", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("threshold", models.DurationField(blank=True, null=True)),
                ("gpu_percent", models.FloatField(blank=True, null=True)),
                ("cpu_cores", models.FloatField(blank=True, null=True)),
                ("coverage_percent", models.PositiveSmallIntegerField(default=80)),
                ("in_a_row", models.PositiveSmallIntegerField(default=1)),
                ("holds", models.JSONField(blank=True, default=dict)),
                ("grace_after_start", models.DurationField(default=datetime.timedelta(0))),
                ("grace_after_ready", models.DurationField(default=datetime.timedelta(0))),
                ("max_age", models.DurationField(blank=True, null=True)),
                ("warning_lead", models.DurationField(default=datetime.timedelta(seconds=300))),
                ("unknown_limit", models.DurationField(default=datetime.timedelta(seconds=900))),
                ("time_zone", models.CharField(default="UTC", max_length=64)),
                ("schedule_mode", models.CharField(blank=True, max_length=20)),
                ("schedule_start", models.TimeField(blank=True, null=True)),
                ("schedule_stop", models.TimeField(blank=True, null=True)),
                ("schedule_days", models.JSONField(blank=True, default=list)),
                ("created_at", models.DateTimeField()),
                ("changed_at", models.DateTimeField()),
                ("evaluated_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "verbose_name_plural": "policies",
                "ordering": ["rank", "name"],
                "constraints": [models.CheckConstraint(condition=models.Q(("mode__in", ["off", "observe", "canary", "enforce"])), name="policy_mode_known"), models.CheckConstraint(condition=models.Q(("name", "default"), _negated=True), name="policy_default_is_no_row")],
            },
        ),
    ]
