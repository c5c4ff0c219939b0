"""Models of the gateways that people run, small servers that answer as the recorded originals do.

Each holds sessions whose phones a test is; its engine is the text of a message (`hello`, `throws`, `sentthrow`, `dead`,
`hangs`), as it was in the recordings. They know nothing of homing. wuzapi's and GOWA's answer as their sources say.
Begin with `base`, then `waha`.
"""

from simulated_gateways.baileys_api import BaileysApi
from simulated_gateways.base import Model, Session
from simulated_gateways.evolution import Evolution
from simulated_gateways.gowa import Gowa
from simulated_gateways.waha import Waha
from simulated_gateways.wppconnect import Wppconnect
from simulated_gateways.wuzapi import Wuzapi
from simulated_gateways.wwebjs_api import WwebjsApi

MODELS: dict[str, type[Model]] = {
    "waha": Waha,
    "evolution": Evolution,
    "wwebjs-api": WwebjsApi,
    "wppconnect": Wppconnect,
    "baileys-api": BaileysApi,
    "wuzapi": Wuzapi,
    "gowa": Gowa,
}

__all__ = ["MODELS", "Model", "Session"]
