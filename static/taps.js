// The taps that the server doesn't have yet: kept on this device before anything else, sent in order, and removed when
// the server has said that it has them. So none is lost, and since an id counts once, none is counted twice.

const MOST = 500;         // in one request
const PATIENCE = 8000;    // ms for an answer, to its end
const PAUSE = 1000;       // ms until the first retry; twice as long after each
const LONGEST = 30000;
const LATE = 1000;        // ms after which a tap that isn't sent is worth a word
const REPORTED = 60000;   // ms for which it is said that taps were dropped
const FAREWELL = 10000;   // bytes: so little is still sent when the page is closed meanwhile

// Asks a door's server to do something; throws when no answer came that it could have given.
export async function post(url, content) {
  const stop = new AbortController(), timer = setTimeout(() => stop.abort(), PATIENCE);
  const headers = { Accept: 'application/json', 'Content-Type': 'application/json' };
  const body = JSON.stringify(content), keepalive = body.length < FAREWELL;
  try {
    const answer = await fetch(url, { method: 'POST', headers, body, keepalive, signal: stop.signal });
    const after = 1000 * answer.headers.get('Retry-After');
    return { status: answer.status, after, content: await answer.json() };  // a hotel's Wi-Fi answers in HTML
  } finally {
    clearTimeout(timer);
  }
}

// As crypto.randomUUID(), which plain http doesn't have.
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = bytes[6] & 0x0f | 0x40;
  bytes[8] = bytes[8] & 0x3f | 0x80;
  const hex = Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

// The unsent taps of a door on this device, in all its tabs: `key` is what they are kept under, `url` where they are
// sent. Calls changed() when there are more or fewer, and answered(the door's content) when some were counted.
export function tapsOf({ key, url, door, changed, answered }) {
  const unsent = new Map();
  let newest = 0, pause = PAUSE, began = 0, sending = null, timer;
  let lost = false, doubtful = false, refusal = '', dropped = '', forgetful = false;

  // One entry a tap: two tabs that wrote one list would overwrite each other's taps, and plain http has no locks.
  const entry = id => `${key} ${id}`;
  const idOf = name => name && name.startsWith(`${key} `) && name.slice(key.length + 1);
  const inOrder = () => [...unsent.values()].sort((one, other) => one.at - other.at);

  function learn(name, value) {
    const id = idOf(name);
    if (id && value) unsent.set(id, parse(id, value));
    else if (id) unsent.delete(id);  // another tab has sent it
    return id;
  }

  // What is kept can be broken; then the server says what is wrong with it, and it is dropped.
  function parse(id, value) {
    let tap;
    try { tap = JSON.parse(value); } catch (error) { /* it is no tap */ }
    return Object.assign({ at: Date.now() }, Object(tap) === tap ? tap : {}, { id });
  }

  function recall() {
    try {
      localStorage.setItem(key, '');  // may it be written to?
      localStorage.removeItem(key);
      for (const name of Object.keys(localStorage)) learn(name, localStorage.getItem(name));
    } catch (error) {
      forgetful = true;
    }
  }

  function add(content) {
    newest = Math.max(Date.now(), newest + 1);  // two in one millisecond have an order, too
    const tap = { id: uuid(), ...content, at: newest };
    try {
      localStorage.setItem(entry(tap.id), JSON.stringify(tap));
    } catch (error) {
      forgetful = true;  // forbidden or full: still counted and sent
    }
    unsent.set(tap.id, tap);
    changed();
    send();
    setTimeout(changed, LATE + 50);
    return tap;
  }

  function forget({ id }) {
    unsent.delete(id);
    try { localStorage.removeItem(entry(id)); } catch (error) { /* it was never kept */ }
  }

  // Those that the server can't accept won't be accepted later either; nor what takes them back.
  function drop(results) {
    const refused = results.filter(result => result.error), ids = new Set(refused.map(result => result.id));
    if (!refused.length) return;
    [...unsent.values()].filter(tap => ids.has(tap.id) || ids.has(tap.undoes)).forEach(forget);
    const what = refused.length === 1 ? '1 tap was' : `${refused.length} taps were`;
    dropped = `${what} not counted: ${refused[0].error} Please recount if the number is wrong.`;
    setTimeout(() => {
      dropped = '';
      changed();
    }, REPORTED);
  }

  async function attempt() {
    const now = began = Date.now(), batch = inOrder().slice(0, MOST);
    const age = at => Math.max(0, Math.floor((now - at) / 1000)) || 0;
    const taps = batch.map(({ at, ...tap }) => ({ ...tap, ago_s: age(at) }));
    doubtful = true;
    try {
      const { status, after, content } = await post(url, { taps });
      const counted = status === 200 && content.id === door;
      if (status === 200 && !counted) throw new Error('not from this door');
      lost = false;
      doubtful = status === 500;  // which may come after it was stored; anything else that is refused is not
      refusal = counted ? '' : refused(status, content.error);
      if (counted) {
        batch.forEach(forget);
        drop(content.taps || []);
        pause = PAUSE;
        answered(content);
        return 0;
      }
      if (status === 400 && content.taps) {  // none of them could be accepted
        refusal = '';
        drop(content.taps);
        return 0;
      }
      if (after) return after;
      if (status < 500 && status !== 429) return LONGEST;
    } catch (error) {
      lost = true;
    }
    const wait = pause;
    pause = Math.min(2 * pause, LONGEST);
    return wait;
  }

  const refused = (status, error) => status === 404
    ? `${error} What was tapped is kept on this device, and sent when the new link is opened on it.`
    : `${error} What was tapped is kept on this device.`;

  // Sends what there is; when it is at it, waits for that.
  async function send() {
    clearTimeout(timer);
    timer = null;
    if (!unsent.size) return;
    sending = sending || attempt();
    const mine = sending, wait = await mine;
    if (sending !== mine) return;
    sending = null;
    changed();
    if (unsent.size) timer = setTimeout(send, wait);
  }

  // Sends all that was tapped until now. What is being sent may have begun before the last taps.
  async function sendAll() {
    const started = sending;
    await send();
    if (started && !lost) await send();
  }

  // When the server may be back: soon. Not where it was there and refused, which only time can change.
  function hurry() {
    if (!lost && !sending) return;
    pause = PAUSE;
    if (sending) return;
    clearTimeout(timer);
    timer = setTimeout(send, began + PAUSE - Date.now());
  }

  addEventListener('storage', event => {
    if (!learn(event.key, event.newValue)) return;
    if (event.newValue) doubtful = true;  // that tab is sending it: the next picture may hold it
    changed();
    if (unsent.size && !sending && !timer) timer = setTimeout(send, LONGEST);  // should that tab be closed meanwhile
  });
  addEventListener('online', () => { hurry(); send(); });
  document.addEventListener('visibilitychange', hurry);
  recall();
  newest = Math.max(0, ...inOrder().map(tap => tap.at));
  setTimeout(send);

  return {
    add, hurry, sendAll, inOrder,
    late: () => lost || Boolean(refusal) || inOrder().slice(0, 1).some(tap => Date.now() - tap.at > LATE),
    doubtful: () => doubtful && unsent.size > 0,
    trouble: () => refusal || dropped || (forgetful
      ? 'This browser keeps nothing: leave this page open until everything is sent.' : ''),
  };
}
