/** Audio thread: microphone samples to 24 kHz mono blocks of 20 ms, posted with their level. */

import { Resampler, rms } from "../resample.js";

const RATE = 24000;
const BLOCK = 480;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this._resampler = new Resampler(sampleRate, RATE);
    this._block = new Float32Array(BLOCK);
    this._filled = 0;
  }

  process(inputs) {
    const channel = inputs[0][0];
    // No channel: the source is not connected yet. Time must still pass, so it counts as silence.
    this._take(this._resampler.process(channel ? channel.slice() : new Float32Array(128)));
    return true;
  }

  _take(samples) {
    for (const sample of samples) {
      this._block[this._filled] = sample;
      this._filled += 1;
      if (this._filled < BLOCK) continue;
      const block = this._block;
      this.port.postMessage({ pcm: block, rms: rms(block) }, [block.buffer]);
      this._block = new Float32Array(BLOCK);
      this._filled = 0;
    }
  }
}

registerProcessor("capture", Capture);
