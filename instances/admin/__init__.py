"""Every model in the admin. What was observed or computed is to look at; verbs go through operations like everybody's."""

from instances.admin.account import PeriodicWorkAdmin, ProviderAccountAdmin
from instances.admin.alarm import AlarmAdmin
from instances.admin.catalogue import ClusterAdmin, NetworkStorageAdmin, OfferAdmin, TemplateAdmin
from instances.admin.event import EventAdmin
from instances.admin.instance import InstanceAdmin
from instances.admin.job import JobAdmin
from instances.admin.machine import MachineAdmin
from instances.admin.pause import AutomationPauseAdmin
from instances.admin.reclaim import ReclaimAdmin
from instances.admin.webhook import DeliveryAdmin, WebhookEndpointAdmin

__all__ = [
    "AlarmAdmin",
    "AutomationPauseAdmin",
    "ClusterAdmin",
    "DeliveryAdmin",
    "EventAdmin",
    "InstanceAdmin",
    "JobAdmin",
    "MachineAdmin",
    "NetworkStorageAdmin",
    "OfferAdmin",
    "PeriodicWorkAdmin",
    "ProviderAccountAdmin",
    "ReclaimAdmin",
    "TemplateAdmin",
    "WebhookEndpointAdmin",
]
