/** Audio thread: plays posted blocks through the jitter buffer and reports its figures ten times a second. */

import { JitterBuffer } from "../jitter.js";
import { rms } from "../resample.js";

class Playback extends AudioWorkletProcessor {
  constructor() {
    super();
    this._buffer = new JitterBuffer(sampleRate);
    this._sinceReport = 0;
    this._squares = 0;
    this._peak = 0;
    this.port.onmessage = (message) => this._buffer.push(message.data);
  }

  process(_inputs, outputs) {
    const channels = outputs[0];
    this._buffer.pull(channels[0]);
    for (const channel of channels.slice(1)) channel.set(channels[0]);
    const level = rms(channels[0]);
    this._squares += level * level * channels[0].length;
    this._peak = Math.max(this._peak, level);
    this._sinceReport += channels[0].length;
    if (this._sinceReport >= sampleRate / 10) this._report();
    return true;
  }

  _report() {
    const buffer = this._buffer;
    this.port.postMessage({
      playing: buffer.playing,
      bufferedMs: buffer.bufferedMs,
      targetMs: buffer.targetMs,
      underruns: buffer.underruns,
      droppedMs: buffer.droppedMs,
      squeezedMs: buffer.squeezedMs,
      playedMs: (buffer.playedSamples * 1000) / sampleRate,
      rms: Math.sqrt(this._squares / this._sinceReport),
      peakRms: this._peak,
    });
    this._sinceReport = 0;
    this._squares = 0;
  }
}

registerProcessor("playback", Playback);
