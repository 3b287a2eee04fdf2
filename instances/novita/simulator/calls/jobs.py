"""Calls about long work: saving images and following migrations."""

from instances.novita.simulator import commands, validation, wire
from instances.novita.simulator.calls.context import Answer, Context
from instances.novita.simulator.errors import RefusedError
from instances.novita.simulator.records import Job

TYPES = ("saveImage", "instanceMigrate", "autoInstanceMigrate")
STATES = ("pending", "pulling", "running", "fail", "success", "break")


def save_image(context: Context) -> Answer:
    body = context.body
    instance = commands.find(context.world, validation.text(body, "instanceId", required=True))
    image = validation.text(body, "image", required=True, longest=4095)
    auth_id = validation.text(body, "registryAuthId")
    if auth_id and auth_id not in context.world.objects["auth"]:
        raise RefusedError("RESOURCE_NOT_FOUND", "image auth not found")
    return {"jobId": commands.save_image(context.world, instance, context.now, image).id}


def list_jobs(context: Context) -> Answer:
    """Newest first; empty filters filter nothing."""
    query = context.query
    page = validation.page(query, base=context.page_base)
    job_id = validation.text(query, "jobId")
    kind = validation.choice(query, "type", TYPES, default="")
    state = validation.choice(query, "state", STATES, default="")
    since, until = (validation.query_whole(query, field, high=2**53) for field in ("startTime", "endTime"))

    def fits(job: Job) -> bool:
        return (
            job_id in ("", job.id)
            and kind in ("", job.type)
            and state in ("", job.state_at(context.now))
            and job.created_at >= since
            and (not until or job.created_at <= until)
        )

    found = [job for job in reversed(context.world.jobs.values()) if fits(job)]
    url = context.addresses.base_url
    return {"jobs": [wire.job(job, context.now, url) for job in found[page.cut()]], "total": len(found)}


def break_job(context: Context) -> Answer:
    job = context.world.jobs.get(validation.text(context.body, "jobId", required=True))
    if job is None:
        raise RefusedError("JOB_NOT_FOUND", "job not found")
    if job.type != "saveImage":
        raise RefusedError("MIGRATION_JOB_NOT_BREAKABLE", "migration job can not be broken")
    if not job.is_open(context.now):
        raise RefusedError("CONFLICT", "invalid state change")
    commands.break_job(context.world, job, context.now)
    return {"jobId": job.id}


def list_images(context: Context) -> Answer:
    """Images saved so far."""
    page = validation.page(context.query, base=context.page_base)
    name = validation.text(context.query, "name")
    saved = [
        job
        for job in context.world.jobs.values()
        if job.image and job.state_at(context.now) == "success" and context.contains(name, job.image)
    ]
    rows = []
    for job in saved:
        repository, _, tag = job.image.rpartition(":")
        repository, tag = (repository, tag) if repository else (job.image, "latest")
        label = {"name": tag, "url": f"{repository}:{tag}"}
        rows.append({"id": job.id, "name": repository.split("/")[-1], "url": repository, "tags": [label]})
    return {
        "data": rows[page.cut()],
        "pageSize": page.size,
        "pageNum": page.number + context.page_base,
        "total": len(rows),
    }
