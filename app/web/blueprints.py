"""All blueprints; takeanumber.py registers them."""

from __future__ import annotations

from app.web.api import api
from app.web.brand import brand
from app.web.caller import caller
from app.web.customer import customer
from app.web.desk import desk
from app.web.door import door
from app.web.health import health
from app.web.home import home
from app.web.mail import mail
from app.web.manifests import manifests
from app.web.owner import owner
from app.web.owner_alerts import owner_alerts
from app.web.owner_call_report import owner_call_report
from app.web.owner_calls import owner_calls
from app.web.owner_contacts import owner_contacts
from app.web.owner_counters import owner_counters
from app.web.owner_exports import owner_exports
from app.web.owner_imports import owner_imports
from app.web.owner_opt_outs import owner_opt_outs
from app.web.owner_queues import owner_queues
from app.web.owner_settings import owner_settings
from app.web.owner_stats import owner_stats
from app.web.owner_team import owner_team
from app.web.owner_webhooks import owner_webhooks
from app.web.screens import screens
from app.web.subscriptions import ticket_subscriptions

BLUEPRINTS = (
    home,
    health,
    mail,
    customer,
    ticket_subscriptions,
    screens,
    manifests,
    brand,
    door,
    desk,
    caller,
    owner,
    owner_queues,
    owner_team,
    owner_settings,
    owner_alerts,
    owner_webhooks,
    owner_counters,
    owner_stats,
    owner_exports,
    owner_contacts,
    owner_opt_outs,
    owner_imports,
    owner_calls,
    owner_call_report,
    api,
)
