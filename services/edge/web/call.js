/**
 * One conversation from the start button to its end: context, microphone, codec, connection, player.
 * Owns their life; what the page shows is decided in `state.js` from the actions dispatched here.
 */

import { OpusDecoder, OpusEncoder } from "./codec.js";
import { Connection, ServerRefused, chatUrl, fetchTicket } from "./connection.js";
import { MicError, Microphone, askForMicrophone } from "./mic.js";
import { OggOpusDemuxer, OggOpusMuxer, opusPacketSamples } from "./ogg.js";
import { Player } from "./player.js";
import { RoundTrip } from "./timing.js";

const RATE = 24000;
/** After hanging up the server may still send the scorecard; it has this long. */
const FAREWELL_MS = 10000;
/** How long the engine may take to get ready. */
const READY_MS = 120000;
const AUDIBLE_RMS = 0.003;

export class Call {
  /** `options`: {engine, language, voice, prompt, consent, token, resume}; `stats` is filled as it goes. */
  constructor(options, dispatch, stats) {
    this._options = options;
    this._dispatch = dispatch;
    this._stats = stats;
    this._isOver = false;
    this._isReady = false;
    this._muxer = new OggOpusMuxer({ serial: crypto.getRandomValues(new Uint32Array(1))[0] });
    this._demuxer = new OggOpusDemuxer();
    this._roundTrip = new RoundTrip();
    this._streams = 0;
  }

  /** Ask for the microphone, connect, and go on until the end. Never throws: failures are dispatched. */
  async start() {
    try {
      await this._open();
    } catch (error) {
      this._release();
      if (error instanceof MicError) this._dispatch({ type: "mic-failed", code: error.code });
      else if (error instanceof ServerRefused) {
        this._dispatch({ type: "closed", meaning: error.kind, reason: error.message, retryAfterS: error.retryAfterS });
      } else this._dispatch({ type: "closed", meaning: "failed", reason: String(error.message ?? error) });
    }
  }

  async _open() {
    this._dispatch({ type: "asking" });
    this._context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
    const stream = await askForMicrophone();
    if (this._isOver) {
      for (const track of stream.getTracks()) track.stop();
      return;
    }
    this._stream = stream;
    this._dispatch({ type: "connecting" });
    const ticket = this._options.token ? await fetchTicket(this._options.token) : "";
    await this._context.resume();
    this._player = await Player.open(this._context, (figures) => this._onPlayed(figures));
    this._microphone = await Microphone.open(
      stream,
      this._context,
      (block, level) => this._onBlock(block, level),
      () => this._dispatch({ type: "mic-lost" }),
    );
    if (this._isOver) this._release();
    else this._connect(ticket);
  }

  _connect(ticket) {
    const onCodecError = (error) => this._fail(`audio encoder: ${error.message}`);
    this._encoder = new OpusEncoder((packet) => this._onPacket(packet), onCodecError);
    this._decoder = new OpusDecoder((pcm, rate) => this._player.push(pcm, rate));
    const told = this._options.consent;
    this._connection = new Connection(chatUrl(window.location, { ...this._options, ticket }), {
      onOpen: () => {
        if (this._options.consent !== told) this._connection.sendConsent(this._options.consent);
        this._dispatch({ type: "opened" });
      },
      onHandshake: () => this._onHandshake(),
      onAudio: (bytes) => this._onAudio(bytes),
      onText: (text) => this._dispatch({ type: "text", text }),
      onMessage: (message) => this._dispatch({ type: "message", message }),
      onError: (text) => this._onServerError(text),
      onClose: (close) => this._onClose(close),
    });
    this._readyTimer = setTimeout(() => this._fail("the voice engine did not get ready in time"), READY_MS);
  }

  setMuted(isMuted) {
    this._microphone?.setMuted(isMuted);
    this._dispatch({ type: "muted", isMuted });
  }

  sendConsent(consent) {
    this._options.consent = consent; // not connected yet: it goes with the address, or on opening
    this._connection?.sendConsent(consent);
  }

  /** End the conversation: the microphone stops now, the connection after the scorecard or 10 s. */
  hangUp() {
    if (this._isOver) return;
    if (!this._isReady) {
      this._release();
      this._dispatch({ type: "closed", meaning: "ended", code: 1000, reason: "" });
      return;
    }
    this._isReady = false;
    this._connection.sendAudio(this._muxer.finish());
    this._microphone.close();
    this._microphone = null;
    this._dispatch({ type: "hung-up" });
    this._farewellTimer = setTimeout(() => this._connection?.close(), FAREWELL_MS);
    this._connection.sendEnd();
  }

  /** The scorecard is here: nothing more to wait for. */
  finish() {
    if (this._farewellTimer) this._connection?.close();
  }

  _onHandshake() {
    if (this._isReady || this._isOver) return;
    clearTimeout(this._readyTimer);
    this._isReady = true;
    this._readyAt = performance.now();
    this._connection.sendAudio(this._muxer.headers());
    this._dispatch({ type: "handshake" });
  }

  _onBlock(block, level) {
    this._stats.micRms = level;
    if (this._isReady) this._encoder.encode(block);
  }

  _onPacket(packet) {
    if (!this._isReady) return;
    const page = this._muxer.add(packet);
    this._stats.packetsSent += 1;
    this._roundTrip.addSent(opusPacketSamples(packet), performance.now());
    if (page && !this._connection.sendAudio(page)) {
      this._stats.pagesNotSent += 1;
      this._dispatch({ type: "uplink-full", count: this._stats.pagesNotSent });
    }
  }

  _onAudio(bytes) {
    const packets = this._demuxer.push(bytes);
    if (this._demuxer.streams !== this._streams) {
      this._streams = this._demuxer.streams;
      this._decoder.skip(this._demuxer.preSkip);
    }
    const now = performance.now();
    this._stats.lastAudioAt = now;
    for (const packet of packets) {
      this._stats.packetsReceived += 1;
      this._roundTrip.addReceived(opusPacketSamples(packet), now);
      this._decoder.decode(packet);
    }
    this._stats.badPages = this._demuxer.badPages + this._demuxer.lostPages;
    this._stats.roundTripMs = this._roundTrip.medianMs();
  }

  _onPlayed(figures) {
    const stats = this._stats;
    Object.assign(stats, figures, { framesPlayed: Math.floor(figures.playedMs / 80) });
    if (!this._readyAt) return;
    const since = Math.round(performance.now() - this._readyAt);
    if (stats.firstAudioMs === null && figures.playedMs > 0) stats.firstAudioMs = since;
    if (stats.firstSoundMs === null && figures.peakRms > AUDIBLE_RMS) stats.firstSoundMs = since;
  }

  _onServerError(text) {
    this._dispatch({ type: "server-error", text });
    this.finish(); // an error while hanging up: there is no scorecard to wait for
  }

  _onClose(close) {
    if (this._isOver) return;
    this._release();
    this._dispatch({ type: "closed", ...close });
  }

  _fail(reason) {
    if (this._isOver) return;
    this._release();
    this._dispatch({ type: "closed", meaning: "failed", reason });
  }

  _release() {
    this._isOver = true;
    this._isReady = false;
    clearTimeout(this._readyTimer);
    clearTimeout(this._farewellTimer);
    for (const part of [this._microphone, this._encoder, this._decoder, this._player, this._connection]) part?.close();
    for (const track of this._stream?.getTracks() ?? []) track.stop();
    if (this._context && this._context.state !== "closed") this._context.close();
  }
}

/** The figures that `window.splitbrain.stats` shows while a conversation runs. */
export function newStats() {
  return {
    framesPlayed: 0,
    playedMs: 0,
    rms: 0,
    peakRms: 0,
    micRms: 0,
    underruns: 0,
    droppedMs: 0,
    squeezedMs: 0,
    bufferedMs: 0,
    targetMs: 0,
    playing: false,
    packetsSent: 0,
    packetsReceived: 0,
    pagesNotSent: 0,
    badPages: 0,
    firstAudioMs: null,
    firstSoundMs: null,
    roundTripMs: null,
    lastAudioAt: null,
  };
}
