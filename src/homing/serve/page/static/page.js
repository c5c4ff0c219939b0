// What the pages do beyond HTML: follow the state, open dialogs, answer keys. Without it they stand still and are whole.
import { follow } from "./live.js";
import { openDialogs } from "./actions.js";
import { answerKeys } from "./keys.js";
import "./grid.js";

follow();
openDialogs();
answerKeys();
