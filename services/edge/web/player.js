/** Plays Hugo's voice: hands decoded samples to the audio thread and keeps its figures. */

import { Resampler } from "./resample.js";

export class Player {
  /** `onStats(figures)` ten times a second; the figures are those of `worklets/playback.js`. */
  static async open(context, onStats) {
    await context.audioWorklet.addModule(new URL("./worklets/playback.js", import.meta.url));
    const node = new AudioWorkletNode(context, "playback", {
      numberOfInputs: 0,
      numberOfOutputs: 1,
      outputChannelCount: [1],
    });
    node.port.onmessage = (message) => onStats(message.data);
    node.connect(context.destination);
    return new Player(context, node);
  }

  constructor(context, node) {
    this._context = context;
    this._node = node;
    this._resampler = null;
    this._rate = 0;
  }

  push(pcm, rate) {
    if (rate !== this._rate) {
      this._resampler = new Resampler(rate, this._context.sampleRate);
      this._rate = rate;
    }
    const block = this._resampler.process(pcm).slice();
    if (block.length) this._node.port.postMessage(block, [block.buffer]);
  }

  close() {
    this._node.port.onmessage = null;
    this._node.disconnect();
  }
}
