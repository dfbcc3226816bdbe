/**
 * One conversation from the start button to its end: permission, audio devices, the link and its reconnection.
 * Owns their life; what the page shows is decided in `state.js` from the actions dispatched here.
 */

import { ServerRefused, chatUrl, fetchTicket } from "./connection.js";
import { Link } from "./link.js";
import { MicError, Microphone, askForMicrophone } from "./mic.js";
import { Player } from "./player.js";
import { RetryPlan } from "./timing.js";

const RATE = 24000;
/** After hanging up the server may still send the scorecard; it has a little longer than the server's own 10 s. */
const FAREWELL_MS = 12000;
/** How long the engine may take to get ready. */
const READY_MS = 120000;
const AUDIBLE_RMS = 0.003;

export class Call {
  /** `options`: {engine, language, voice, prompt, consent, token}; `stats` is filled as it goes. */
  constructor(options, dispatch, stats) {
    this._options = options;
    this._dispatch = dispatch;
    this._stats = stats;
    this._isOver = false;
    this._isEnding = false;
    this._resume = null;
    this._retry = null;
    this._lastEvent = "";
  }

  /** Ask for the microphone, connect, and go on until the end. Never throws: failures are dispatched. */
  async start() {
    try {
      this._dispatch({ type: "asking" });
      await this._openDevices();
      if (!this._isOver) await this._connect();
    } catch (error) {
      if (!this._isOver) this._giveUp(error);
      else this._release();
    }
  }

  async _openDevices() {
    this._context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
    this._stream = await askForMicrophone();
    if (this._isOver) return this._release();
    this._dispatch({ type: "connecting" });
    await this._context.resume();
    this._player = await Player.open(this._context, (figures) => this._onPlayed(figures));
    this._microphone = await Microphone.open(
      this._stream,
      this._context,
      (block, level) => this._onBlock(block, level),
      () => this._dispatch({ type: "mic-lost" }),
    );
    if (this._isOver) this._release();
  }

  async _connect() {
    const { token } = this._options;
    const ticket = token ? await fetchTicket(token) : "";
    if (this._isOver) return;
    const told = this._options.consent;
    const query = { ...this._options, ticket, resume: this._resume?.token, lastEvent: this._resume && this._lastEvent };
    let wasOpen = false;
    this._link = new Link(
      chatUrl(window.location, query),
      {
        onOpen: () => {
          wasOpen = true;
          if (this._options.consent !== told) this._link.sendConsent(this._options.consent);
          this._dispatch({ type: "opened" });
        },
        onReady: () => this._onReady(),
        onPcm: (pcm, rate) => this._player.push(pcm, rate),
        onText: (text) => this._dispatch({ type: "text", text }),
        onMessage: (message) => this._onMessage(message),
        onError: (text) => this._onServerError(text),
        onBroken: (error) => this._giveUp(error),
        onUplinkFull: () => this._dispatch({ type: "uplink-full", count: this._stats.pagesNotSent }),
        onClose: (close) => this._onClose(close, wasOpen),
      },
      this._stats,
    );
    clearTimeout(this._readyTimer);
    this._readyTimer = setTimeout(() => this._giveUp(new Error("the voice engine did not get ready in time")), READY_MS);
  }

  setMuted(isMuted) {
    this._microphone?.setMuted(isMuted);
    this._dispatch({ type: "muted", isMuted });
  }

  sendConsent(consent) {
    this._options.consent = consent; // not connected yet: it goes with the address, or on opening
    this._link?.sendConsent(consent);
  }

  sendEngine(engine) {
    this._link?.sendEngine(engine);
  }

  /** End the conversation: the microphone stops now, the connection after the scorecard or 12 s. */
  hangUp() {
    if (this._isOver || this._isEnding) return;
    if (!this._link?.isReady) {
      this._end({ meaning: "ended", code: 1000, reason: "" });
      return;
    }
    this._isEnding = true;
    this._link.end();
    this._microphone.close();
    this._microphone = null;
    this._dispatch({ type: "hung-up" });
    this._farewellTimer = setTimeout(() => this._end({ meaning: "ended", code: 1000, reason: "" }), FAREWELL_MS);
  }

  /** The scorecard is here: nothing more to wait for. */
  finish() {
    if (this._isEnding) this._end({ meaning: "ended", code: 1000, reason: "" });
  }

  _onReady() {
    clearTimeout(this._readyTimer);
    this._retry = null;
    this._readyAt ??= performance.now();
    this._dispatch({ type: "handshake" });
  }

  _onBlock(block, level) {
    this._stats.micRms = level;
    this._link?.sendBlock(block);
  }

  _onMessage(message) {
    if (message.kind === "session" && typeof message.resumeToken === "string") {
      this._resume = { token: message.resumeToken, seconds: Number(message.resumeSeconds) || 0 };
    }
    if (typeof message.id === "string") this._lastEvent = message.id;
    this._dispatch({ type: "message", message });
  }

  _onServerError(text) {
    this._dispatch({ type: "server-error", text });
    this.finish(); // an error while hanging up: there is no scorecard to wait for
  }

  _onPlayed(figures) {
    const stats = this._stats;
    Object.assign(stats, figures, { framesPlayed: Math.floor(figures.playedMs / 80) });
    if (!this._readyAt) return;
    const since = Math.round(performance.now() - this._readyAt);
    if (stats.firstAudioMs === null && figures.playedMs > 0) stats.firstAudioMs = since;
    if (stats.firstSoundMs === null && figures.peakRms > AUDIBLE_RMS) stats.firstSoundMs = since;
  }

  async _onClose(close, wasOpen) {
    if (this._isOver) return;
    if (this._mayComeBack(close)) {
      this._comeBack();
      return;
    }
    if (!wasOpen && close.meaning === "lost") {
      // A browser hides the status of a refused upgrade; the ticket desk gives the reason.
      try {
        await fetchTicket(this._options.token);
      } catch (error) {
        if (!this._isOver) this._giveUp(error);
        return;
      }
    }
    if (!this._isOver) this._end(close);
  }

  _mayComeBack(close) {
    if (!this._resume || this._isEnding) return false;
    return close.meaning === "lost" || close.meaning === "restarting" || (this._retry !== null && close.meaning === "full");
  }

  /** Take the conversation up again, with growing pauses, for as long as the server keeps it. */
  _comeBack() {
    clearTimeout(this._readyTimer);
    this._retry ??= new RetryPlan(this._resume.seconds * 1000, performance.now());
    const pauseMs = this._retry.nextPauseMs(performance.now());
    if (pauseMs === null) {
      this._end({ meaning: "lost", code: 1006, reason: "" });
      return;
    }
    this._dispatch({ type: "resuming" });
    this._retryTimer = setTimeout(() => this._reconnect(), pauseMs);
  }

  async _reconnect() {
    try {
      await this._connect();
    } catch (error) {
      if (this._isOver) return;
      if (error instanceof ServerRefused && error.kind !== "denied") this._comeBack();
      else this._giveUp(error);
    }
  }

  _giveUp(error) {
    if (error instanceof MicError) {
      this._release();
      this._dispatch({ type: "mic-failed", code: error.code });
    } else if (error instanceof ServerRefused) {
      this._end({ meaning: error.kind, reason: error.message, retryAfterS: error.retryAfterS });
    } else this._end({ meaning: "failed", reason: String(error.message ?? error) });
  }

  _end(close) {
    this._release();
    this._dispatch({ type: "closed", ...close });
  }

  _release() {
    this._isOver = true;
    for (const timer of [this._readyTimer, this._farewellTimer, this._retryTimer]) clearTimeout(timer);
    for (const part of [this._microphone, this._link, this._player]) part?.close();
    for (const track of this._stream?.getTracks() ?? []) track.stop();
    if (this._context && this._context.state !== "closed") this._context.close();
  }
}
