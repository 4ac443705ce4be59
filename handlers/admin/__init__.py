"""For those who run the service: jobs that were given up, and what is done from a shell."""

from handlers.admin.jobs import STEP, DeadJob, admin, drop_jobs, retry_jobs

__all__ = ["STEP", "DeadJob", "admin", "drop_jobs", "retry_jobs"]
