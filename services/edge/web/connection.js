/**
 * The edge's binary WebSocket protocol: the first byte of a frame is its kind. Owns the socket and the two
 * HTTP calls (`/api/engines`, `/api/tickets`); knows no audio and no page.
 */

const HANDSHAKE = 0;
const AUDIO = 1;
const TEXT = 2;
const JSON_EVENT = 4;
const ERROR_TEXT = 5;
const PING = 6;

const HTTP_TIMEOUT_MS = 8000;
const OPEN_TIMEOUT_MS = 10000;
/** Sent bytes that the network has not taken: about 4 s of audio. Beyond it packets are dropped and counted. */
const MAX_BUFFERED_BYTES = 16 * 1024;
const MAX_JSON_BYTES = 512 * 1024;
const DEFAULT_RETRY_S = 5;

/** The server refused an HTTP call. `kind`: denied | full | lost. `retryAfterS` is set for "full". */
export class ServerRefused extends Error {
  constructor(kind, message, retryAfterS = DEFAULT_RETRY_S) {
    super(message);
    this.kind = kind;
    this.retryAfterS = retryAfterS;
  }
}

/** Seconds named in a close reason or header ("retry after 7 s", "7"); a default where there are none. */
export function parseRetryAfter(text) {
  const found = /(\d+(?:\.\d+)?)/.exec(text ?? "");
  return found ? Math.min(600, Math.max(1, Math.ceil(Number(found[1])))) : DEFAULT_RETRY_S;
}

/** What a close code means to the user: ended | denied | restarting | full | failed | lost. */
export function meaningOfClose(code) {
  if (code === 1000 || code === 1001) return "ended";
  if (code === 1008) return "denied";
  if (code === 1012) return "restarting";
  if (code === 1013) return "full";
  if (code === 1007 || code === 1009 || code === 1011) return "failed";
  return "lost";
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, signal: AbortSignal.timeout(HTTP_TIMEOUT_MS) });
  } catch (error) {
    throw new ServerRefused("lost", String(error.message ?? error));
  }
  if (!response.ok) throw await refusalOf(response);
  try {
    return await response.json();
  } catch (error) {
    throw new ServerRefused("lost", String(error.message ?? error));
  }
}

async function refusalOf(response) {
  let message = `HTTP ${response.status}`;
  try {
    message = (await response.json()).error.message;
  } catch {
    // A proxy's answer has no message of ours; its status must do.
  }
  if (response.status === 401 || response.status === 403) return new ServerRefused("denied", message);
  if (response.status === 429 || response.status === 503) {
    return new ServerRefused("full", message, parseRetryAfter(response.headers.get("Retry-After")));
  }
  return new ServerRefused("lost", message);
}

function bearer(token) {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** The engines that the server offers: `[{id, languages, duplex, available, description}]`. */
export async function fetchEngines(token) {
  const engines = await request("/api/engines", { headers: bearer(token) });
  if (!Array.isArray(engines)) throw new ServerRefused("lost", "/api/engines is not a list");
  return engines.filter((engine) => typeof engine?.id === "string");
}

/** What holds for every conversation here: `{profile, emotionAllowed}`. */
export async function fetchConfig(token) {
  const config = await request("/api/config", { headers: bearer(token) });
  if (typeof config?.profile !== "string") throw new ServerRefused("lost", "/api/config names no profile");
  return config;
}

/** Change a token for a short-lived one-time ticket, so that the token never stands in an address. */
export async function fetchTicket(token) {
  const answer = await request("/api/tickets", { method: "POST", headers: bearer(token) });
  if (typeof answer?.ticket !== "string") throw new ServerRefused("lost", "/api/tickets gave no ticket");
  return answer.ticket;
}

/** The chat address for the chosen options; empty options are left out. */
export function chatUrl(location, options) {
  const query = new URLSearchParams({ events: "1" });
  const flags = { consent_store_audio: "storeAudio", consent_store_transcript: "storeTranscript", consent_emotion: "emotion" };
  for (const [name, key] of Object.entries(flags)) query.set(name, options.consent[key] ? "1" : "0");
  const texts = {
    engine: options.engine,
    language: options.language,
    voice_prompt: options.voice,
    text_prompt: options.prompt,
    ticket: options.ticket,
    resume: options.resume,
    last_event: options.lastEvent,
  };
  for (const [name, value] of Object.entries(texts)) if (value) query.set(name, value);
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/chat?${query}`;
}

export class Connection {
  /**
   * `handlers`: onOpen(), onHandshake(), onAudio(Uint8Array), onText(string), onMessage(object),
   * onError(string), onClose({meaning, code, reason, retryAfterS}). onClose comes exactly once.
   */
  constructor(url, handlers) {
    this._handlers = handlers;
    this._isClosed = false;
    this.droppedBytes = 0;
    this.badMessages = 0;
    this._socket = new WebSocket(url);
    this._socket.binaryType = "arraybuffer";
    this._socket.onopen = () => {
      clearTimeout(this._openTimer);
      handlers.onOpen();
    };
    this._socket.onmessage = (message) => this._take(message.data);
    this._socket.onclose = (event) => this._finish(event.code, event.reason);
    this._openTimer = setTimeout(() => this._abandon(), OPEN_TIMEOUT_MS);
  }

  /** Send Ogg bytes. Returns false if they were dropped because the network does not take them. */
  sendAudio(bytes) {
    if (this._socket.bufferedAmount > MAX_BUFFERED_BYTES) {
      this.droppedBytes += bytes.length;
      return false;
    }
    this._send(AUDIO, bytes);
    return true;
  }

  /** Tell the new state of every consent switch. */
  sendConsent(consent) {
    this._sendJson({ type: "consent", ...consent });
  }

  /** Ask for another voice engine in mid-conversation. */
  sendEngine(engine) {
    this._sendJson({ type: "engine", engine });
  }

  /** Say that the user hung up, so that the server makes the scorecard before it closes. */
  sendEnd() {
    this._sendJson({ type: "end" });
  }

  close() {
    this._socket.close(1000, "client hung up");
  }

  _sendJson(value) {
    this._send(JSON_EVENT, new TextEncoder().encode(JSON.stringify(value)));
  }

  _send(kind, bytes) {
    if (this._socket.readyState !== WebSocket.OPEN) return;
    const frame = new Uint8Array(bytes.length + 1);
    frame[0] = kind;
    frame.set(bytes, 1);
    this._socket.send(frame);
  }

  _take(data) {
    if (!(data instanceof ArrayBuffer) || data.byteLength === 0) {
      this.badMessages += 1;
      return;
    }
    const bytes = new Uint8Array(data);
    const payload = bytes.subarray(1);
    if (bytes[0] === AUDIO) this._handlers.onAudio(payload);
    else if (bytes[0] === HANDSHAKE) this._handlers.onHandshake();
    else if (bytes[0] === TEXT) this._handlers.onText(new TextDecoder().decode(payload));
    else if (bytes[0] === JSON_EVENT) this._takeJson(payload);
    else if (bytes[0] === ERROR_TEXT) this._handlers.onError(new TextDecoder().decode(payload));
    else if (bytes[0] !== PING) this.badMessages += 1; // the protocol asks to discard unknown kinds
  }

  _takeJson(payload) {
    let value = null;
    try {
      if (payload.length <= MAX_JSON_BYTES) value = JSON.parse(new TextDecoder().decode(payload));
    } catch {
      value = null;
    }
    if (value !== null && typeof value === "object") this._handlers.onMessage(value);
    else this.badMessages += 1;
  }

  _abandon() {
    this._socket.onclose = null;
    this._socket.close();
    this._finish(1006, "");
  }

  _finish(code, reason) {
    if (this._isClosed) return;
    this._isClosed = true;
    clearTimeout(this._openTimer);
    const meaning = meaningOfClose(code);
    this._handlers.onClose({ meaning, code, reason, retryAfterS: parseRetryAfter(reason) });
  }
}
