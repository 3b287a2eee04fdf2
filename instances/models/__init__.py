from instances.models.account import (
    AutomationPause,
    PeriodicWork,
    ProviderAccount,
    ProviderBreaker,
    ProviderPace,
)
from instances.models.alarm import Alarm
from instances.models.catalogue import Cluster, NetworkStorage, Offer, Template
from instances.models.event import Event
from instances.models.instance import Instance
from instances.models.job import Job
from instances.models.machine import Machine, RunningInterval
from instances.models.reclaim import Reclaim
from instances.models.tally import Tally
from instances.models.utilisation import UtilisationMinute, UtilisationWatch
from instances.models.webhook import Delivery, DeliveryAttempt, WebhookEndpoint

__all__ = [
    "Alarm",
    "AutomationPause",
    "Cluster",
    "Delivery",
    "DeliveryAttempt",
    "Event",
    "Instance",
    "Job",
    "Machine",
    "NetworkStorage",
    "Offer",
    "PeriodicWork",
    "ProviderAccount",
    "ProviderBreaker",
    "ProviderPace",
    "Reclaim",
    "RunningInterval",
    "Tally",
    "Template",
    "UtilisationMinute",
    "UtilisationWatch",
    "WebhookEndpoint",
]
