/** One WebSocket's worth of a conversation: socket, Ogg and codec in both directions. A reconnection makes a new one. */

import { OpusDecoder, OpusEncoder } from "./codec.js";
import { Connection } from "./connection.js";
import { OggOpusDemuxer, OggOpusMuxer, opusPacketSamples } from "./ogg.js";
import { RoundTrip } from "./timing.js";

export class Link {
  /**
   * `handlers`: onOpen(), onReady(), onPcm(samples, rate), onText(string), onMessage(object), onError(string),
   * onBroken(Error), onUplinkFull(), onClose({meaning, code, reason, retryAfterS}) exactly once. `stats` is filled as it goes.
   */
  constructor(url, handlers, stats) {
    this._handlers = handlers;
    this._stats = stats;
    this._muxer = new OggOpusMuxer({ serial: crypto.getRandomValues(new Uint32Array(1))[0] });
    this._demuxer = new OggOpusDemuxer();
    this._roundTrip = new RoundTrip();
    this._streams = 0;
    this.isReady = false;
    this._encoder = new OpusEncoder(
      (packet) => this._sendPacket(packet),
      (error) => handlers.onBroken(new Error(`audio encoder: ${error.message}`)),
    );
    this._decoder = new OpusDecoder(handlers.onPcm);
    this._connection = new Connection(url, {
      ...handlers,
      onHandshake: () => this._begin(),
      onAudio: (bytes) => this._takeAudio(bytes),
      onClose: (close) => {
        this._stop();
        handlers.onClose(close);
      },
    });
  }

  /** Send 20 ms of the microphone; before the handshake it is left out, as servers lose it. */
  sendBlock(block) {
    if (this.isReady) this._encoder.encode(block);
  }

  sendConsent(consent) {
    this._connection.sendConsent(consent);
  }

  sendEngine(engine) {
    this._connection.sendEngine(engine);
  }

  /** Say goodbye: the last page, then the wish for the scorecard. The socket stays open. */
  end() {
    this.isReady = false;
    this._connection.sendAudio(this._muxer.finish());
    this._connection.sendEnd();
  }

  close() {
    this._stop();
    this._connection.close();
  }

  _stop() {
    this.isReady = false;
    this._encoder.close();
    this._decoder.close();
  }

  _begin() {
    if (this.isReady) return;
    this.isReady = true;
    this._connection.sendAudio(this._muxer.headers());
    this._handlers.onReady();
  }

  _sendPacket(packet) {
    if (!this.isReady) return;
    const page = this._muxer.add(packet);
    this._stats.packetsSent += 1;
    this._roundTrip.addSent(opusPacketSamples(packet), performance.now());
    if (!page || this._connection.sendAudio(page)) return;
    this._stats.pagesNotSent += 1;
    this._handlers.onUplinkFull();
  }

  _takeAudio(bytes) {
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
    this._stats.decodeErrors = this._decoder.errors + this._decoder.dropped;
    this._stats.roundTripMs = this._roundTrip.medianMs();
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
    decodeErrors: 0,
    firstAudioMs: null,
    firstSoundMs: null,
    roundTripMs: null,
    lastAudioAt: null,
  };
}
