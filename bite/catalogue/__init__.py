"""All defects, by what they are about."""

from bite.catalogue import (
    adopting,
    describing,
    families,
    granting,
    ground,
    holding,
    joining,
    knowing,
    leaving,
    meaning,
    numbers,
    pairing,
    restoring,
    sending,
    sharing,
    speaking,
    strangers,
    working,
)
from bite.defect import Defect

DEFECTS: tuple[Defect, ...] = (
    *adopting.DEFECTS,
    *sending.DEFECTS,
    *knowing.DEFECTS,
    *granting.DEFECTS,
    *holding.DEFECTS,
    *joining.DEFECTS,
    *meaning.DEFECTS,
    *numbers.DEFECTS,
    *pairing.DEFECTS,
    *restoring.DEFECTS,
    *speaking.DEFECTS,
    *strangers.DEFECTS,
    *working.DEFECTS,
    *ground.DEFECTS,
    *leaving.DEFECTS,
    *describing.DEFECTS,
    *families.DEFECTS,
    *sharing.DEFECTS,
)
