"""Calls about money; amounts on the wire are 1/10000 USD, ten times coarser than prices."""

from collections.abc import Iterator
from typing import Any

from instances.novita.simulator import validation
from instances.novita.simulator.calls.context import Answer, Context
from instances.novita.simulator.errors import RefusedError
from instances.novita.simulator.ledger import SECONDS_PER_DAY
from instances.novita.simulator.records import Instance
from instances.novita.simulator.wire import epoch

CYCLES = {"Hour": 3600, "Day": 86_400, "Week": 7 * 86_400, "Month": 30 * 86_400}
CATEGORIES = frozenset({"summary", "gpu", "llm", "serverless", "cloud_storage", "gen_api"})
UNITS_PER_AMOUNT = 10
MOST_BILLS = 2000


def balance(context: Context) -> Answer:
    amount = int(context.world.ledger.balance_at(context.now) // UNITS_PER_AMOUNT)
    return {
        "availableBalance": str(amount),
        "cashBalance": str(max(0, amount)),
        "creditLimit": "0",
        "outstandingInvoices": str(max(0, -amount)),
    }


def legacy_user(context: Context) -> Answer:
    amount = int(context.world.ledger.balance_at(context.now) // UNITS_PER_AMOUNT)
    return {"credit_balance": amount, "allow_features": [], "free_trial": {}}


def usage_bills(context: Context) -> Answer:
    """One row per instance and cycle in which its GPUs were metered."""
    query = context.query
    cycle = CYCLES.get(query.get("cycleType", ""))
    if cycle is None:
        raise RefusedError("INVALID_BILL_CYCLE", "cycleType must be Hour, Day, Week or Month")
    category = query.get("productCategory", "")
    if category not in CATEGORIES:
        raise RefusedError("INVALID_PRODUCT_CATEGORY", "unknown productCategory")
    product, owner = validation.text(query, "productName"), validation.text(query, "ownerId")
    bills = [
        bill
        for instance in (context.world.instances.values() if category in ("summary", "gpu") else ())
        if owner in ("", instance.id) and context.contains(product, instance.product_name)
        for bill in _bills(context, instance, cycle)
    ]
    return {"bills": bills[-MOST_BILLS:]}


def _bills(context: Context, instance: Instance, cycle: int) -> Iterator[dict[str, Any]]:
    since = validation.query_whole(context.query, "startTime", high=2**53)
    until = validation.query_whole(context.query, "endTime", high=2**53) or context.now
    for interval in instance.intervals:
        if interval.kind != "compute":
            continue
        end = min(until, context.now if interval.end is None else interval.end)
        start = max(float(since), interval.start)
        while start < end:
            cut = min(end, (start // cycle + 1) * cycle)
            yield _bill(instance, start, cut, interval.rate)
            start = cut


def _bill(instance: Instance, start: float, end: float, rate: int) -> dict[str, Any]:
    units = (end - start) * rate / SECONDS_PER_DAY
    amount = str(round(units / UNITS_PER_AMOUNT))
    return {
        "userId": "simulated-user",
        "startTime": epoch(start),
        "endTime": epoch(end),
        "billingMethod": "1",
        "productName": instance.product_name,
        "category": "gpu",
        "ownerID": instance.id,
        "billNum0": epoch((end - start) * max(1, instance.gpu_num)),
        "billNum1": "0",
        "basePrice0": str(instance.price),
        "basePrice1": "0",
        "discountPrice0": str(instance.price),
        "discountPrice1": "0",
        "amount": amount,
        "voucherAmount": "0",
        "payAmount": amount,
        "payAmountDisplay": f"{units / 100_000:.4f}",
        "pricePrecision": "100000",
        "productId": instance.product_id,
    }


def fixed_term_bills(context: Context) -> Answer:
    owner = validation.text(context.query, "ownerId")
    bills = [
        {
            "userId": "simulated-user",
            "startTime": epoch(charge.at),
            "endTime": epoch(instance.end_at),
            "productName": instance.product_name,
            "productCategory": "gpu",
            "ownerID": instance.id,
            "tradeMode": "monthly",
            "tradeType": "monthly_new_buy" if number == 0 else "monthly_re_buy",
            "amount": str(charge.amount // UNITS_PER_AMOUNT),
            "payAmount": str(charge.amount // UNITS_PER_AMOUNT),
            "createTime": epoch(charge.at),
            "pricePrecision": "100000",
        }
        for instance in context.world.instances.values()
        if owner in ("", instance.id)
        for number, charge in enumerate(instance.charges)
    ]
    return {"bills": bills}


def monthly_bills(_: Context) -> Answer:
    """No month has ended in an account this young."""
    return {"data": []}
