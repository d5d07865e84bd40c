"""Works an issue through a generated client: creates it, claims it, says that it is still at it, hands it off.

Every step is held against what the node says afterwards, and a second worker is refused.
"""

import sys

from x0x_client import AuthenticatedClient
from x0x_client.api.claims import claim, hand_off, heartbeat
from x0x_client.api.issues import create, edit, list_, show
from x0x_client.models import (
    Check,
    ClaimBody,
    Handoff,
    HandoffBody,
    HoldingBody,
    IssueDraft,
    IssuePatch,
)


def main(api: str, token: str) -> None:
    with AuthenticatedClient(base_url=api, token=token) as node:
        draft = IssueDraft(title="made by a generated client", priority=1, labels=["generated"])
        made = answered(create.sync_detailed(client=node, body=draft), 201)
        name = made["identifier"]
        patch = IssuePatch.from_dict({"estimate": 2, "_add": {"labels": ["python"]}})
        edited = answered(edit.sync_detailed(name, client=node, body=patch), 200)
        assert edited["labels"] == ["generated", "python"] and edited["estimate"] == 2, edited
        taken = answered(claim.sync_detailed(name, client=node, body=ClaimBody(worker="py")), 200)
        assert taken["claim"]["worker"] == "py" and taken["state"] == "in_progress", taken
        refused = claim.sync_detailed(name, client=node, body=ClaimBody(worker="other"))
        assert refused.status_code == 409 and refused.parsed.error == "claimed", refused
        token_of_claim = taken["claim"]["id"]
        holding = HoldingBody(worker="py", issue=name, claim=token_of_claim)
        answered(heartbeat.sync_detailed(client=node, body=holding), 200)
        report = Handoff(
            summary="worked through a generated client",
            files_changed=["client.py"],
            validation=[Check(command="client.py", status="passed")],
            follow_up=[],
        )
        body = HandoffBody(worker="py", issue=name, claim=token_of_claim, handoff=report)
        answered(hand_off.sync_detailed(client=node, body=body), 200)
        shown = answered(show.sync_detailed(name, client=node), 200)
        assert shown["state"] == "review", shown
        assert shown["handoff"]["validation"][0]["status"] == "passed", shown
        page = list_.sync(client=node, state="review", label="python")
        assert [issue.identifier for issue in page.issues] == [name], page
        print(f"{name}: created, claimed, kept and handed off")


def answered(response, status: int) -> dict:
    assert response.status_code == status, response.content
    return response.parsed.to_dict()


main(*sys.argv[1:])
