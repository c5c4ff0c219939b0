"""The sends in progress on this gateway, and whose they are."""

from collections.abc import Callable

from homing.decide.sending import admission
from homing.decide.sending.admission import AdmissionPolicy, InProgress, Share
from homing.model.errors import Code, Problem
from homing.model.fleet import AccountUuid, WorkspaceId

AGAIN_AFTER_S = 1.0


class Admissions:
    """Lets sends in, and knows them until they leave."""

    def __init__(self, policy: AdmissionPolicy, refused: Callable[[Share], None] = lambda _: None) -> None:
        """`refused` hears whose share was full, each time that a send is not let in."""
        self._policy, self._refused = policy, refused
        self._sends = 0
        self._of_workspace: dict[WorkspaceId, int] = {}
        self._of_account: dict[tuple[WorkspaceId, AccountUuid], int] = {}

    @property
    def sends(self) -> int:
        """How many are in progress."""
        return self._sends

    def enter(self, workspace: WorkspaceId, account: AccountUuid) -> None:
        """A send begins. Raises Problem OVERLOADED if a share is full."""
        of_workspace = self._of_workspace.get(workspace, 0)
        of_account = self._of_account.get((workspace, account), 0)
        full = admission.admit(InProgress(self._sends, of_workspace, of_account), workspace, account, self._policy)
        if full is not None:
            self._refused(full.whose)
            raise Problem(Code.OVERLOADED, f"Not now: {full.reason}. Send it again later", retry_after_s=AGAIN_AFTER_S)
        self._sends += 1
        self._of_workspace[workspace] = of_workspace + 1
        self._of_account[workspace, account] = of_account + 1

    def leave(self, workspace: WorkspaceId, account: AccountUuid) -> None:
        """It was answered."""
        self._sends -= 1
        if (left := self._of_workspace.pop(workspace) - 1) > 0:
            self._of_workspace[workspace] = left
        if (left := self._of_account.pop((workspace, account)) - 1) > 0:
            self._of_account[workspace, account] = left
