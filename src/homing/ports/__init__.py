"""What the flows need from the world, in their own words.

Everything that waits, rolls dice, stores or reaches over the network stands behind one of these, so that the
same flows run against PostgreSQL, against SQLite, and inside a simulation whose time is virtual. They use the model
alone; what most flows need is exported here, the rest is in the rooms. Begin with `instances/fleet` and
`directory/directory`.
"""

from homing.model.fleet import InstanceLoad as InstanceLoad
from homing.model.instances.vault import VaultSealed as VaultSealed
from homing.model.instances.vault import Vouched as Vouched
from homing.model.notices import AccountChanged as AccountChanged
from homing.model.notices import AlertsChanged as AlertsChanged
from homing.model.notices import CacheCleared as CacheCleared
from homing.model.notices import EventsStored as EventsStored
from homing.model.notices import KeysChanged as KeysChanged
from homing.model.notices import Notice as Notice
from homing.model.notices import OptOutsChanged as OptOutsChanged
from homing.model.notices import OutboxChanged as OutboxChanged
from homing.model.notices import PlacementChanged as PlacementChanged
from homing.model.notices import RosterChanged as RosterChanged
from homing.model.notices import WorkReady as WorkReady
from homing.model.notices import WorkspacesChanged as WorkspacesChanged
from homing.model.sends.calls import InstanceHealth as InstanceHealth
from homing.model.sends.calls import NumberChecked as NumberChecked
from homing.model.sends.calls import OutgoingText as OutgoingText
from homing.model.sends.calls import PairingCode as PairingCode
from homing.model.sends.calls import SessionStart as SessionStart
from homing.model.sends.messages import Claimed as Claimed
from homing.model.sends.messages import InUse as InUse
from homing.ports.alerts import Alerts as Alerts
from homing.ports.clock import Clock as Clock
from homing.ports.clock import Entropy as Entropy
from homing.ports.directory.audit import Audit as Audit
from homing.ports.directory.directory import AccountChanges as AccountChanges
from homing.ports.directory.directory import Directory as Directory
from homing.ports.directory.directory import InstanceChanges as InstanceChanges
from homing.ports.directory.directory import Lookup as Lookup
from homing.ports.directory.directory import NewAccount as NewAccount
from homing.ports.directory.directory import NewNames as NewNames
from homing.ports.directory.directory import WorkspaceChanges as WorkspaceChanges
from homing.ports.directory.handing import HandedOut as HandedOut
from homing.ports.directory.keys import KeyChanges as KeyChanges
from homing.ports.directory.keys import Keys as Keys
from homing.ports.instances.events import Events as Events
from homing.ports.instances.fleet import Driver as Driver
from homing.ports.instances.fleet import Fleet as Fleet
from homing.ports.instances.fleet import Roster as Roster
from homing.ports.instances.fleet import WayThere as WayThere
from homing.ports.instances.leases import Credentials as Credentials
from homing.ports.instances.leases import Grants as Grants
from homing.ports.instances.leases import Leases as Leases
from homing.ports.instances.leases import Reservations as Reservations
from homing.ports.instances.routes import CacheStats as CacheStats
from homing.ports.instances.routes import Routes as Routes
from homing.ports.meters import Meters as Meters
from homing.ports.notices import Notices as Notices
from homing.ports.notices import TellHearing as TellHearing
from homing.ports.pages import Page as Page
from homing.ports.proofs import WriteProof as WriteProof
from homing.ports.refusals import AccountPlaced as AccountPlaced
from homing.ports.refusals import NameTaken as NameTaken
from homing.ports.refusals import RowRefused as RowRefused
from homing.ports.refusals import StoreUnavailable as StoreUnavailable
from homing.ports.sends.messages import Messages as Messages
from homing.ports.sends.outbox import LaneLost as LaneLost
from homing.ports.sends.outbox import Outbox as Outbox
from homing.ports.work import Schedules as Schedules
from homing.ports.work import Work as Work
