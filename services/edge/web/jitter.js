/**
 * The playback buffer's decisions: when to start, what to drop, how much delay to keep. Pure; runs on the audio
 * thread inside `worklets/playback.js`. It counts samples and knows no clock.
 */

import { rms } from "./resample.js";

const QUIET_RMS = 0.004;
const RAMP_SAMPLES = 64;
const STEP_UP_MS = 20;
const STEP_DOWN_MS = 10;
const CALM_S = 10;
const WINDOW_S = 1;

/**
 * Holds 120 to 160 ms before it plays. An underrun raises the target, ten calm seconds lower it. More than
 * 600 ms is cut back to the target at once (late audio is dropped, never played late); a smaller surplus is
 * worked off in pauses, by leaving out quiet blocks.
 */
export class JitterBuffer {
  constructor(rate, { minTargetMs = 120, maxTargetMs = 160, limitMs = 600 } = {}) {
    this._perMs = rate / 1000;
    this._minTargetMs = minTargetMs;
    this._maxTargetMs = maxTargetMs;
    this._limitMs = limitMs;
    this._blocks = [];
    this._offset = 0;
    this._buffered = 0;
    this._calmSamples = 0;
    this._windowSamples = 0;
    this._windowMinMs = Infinity;
    this._surplus = false;
    this._last = 0;
    this._ramp = 0;
    this.targetMs = minTargetMs;
    this.playing = false;
    this.underruns = 0;
    this.playedSamples = 0;
    this.droppedMs = 0;
    this.squeezedMs = 0;
  }

  /** Delay that the buffer adds now. */
  get bufferedMs() {
    return this._buffered / this._perMs;
  }

  /** Take a block of samples; over the limit the oldest go. */
  push(block) {
    this._blocks.push(block);
    this._buffered += block.length;
    if (this.bufferedMs <= this._limitMs) return;
    while (this.bufferedMs > this.targetMs && this._blocks.length > 1) {
      this.droppedMs += this._shift() / this._perMs;
    }
    this._ramp = 0;
  }

  /** Fill `output` with the next samples, or with silence while the buffer fills. */
  pull(output) {
    if (!this.playing && this.bufferedMs >= this.targetMs) {
      this.playing = true;
      this._ramp = 0;
    }
    let written = 0;
    while (this.playing && written < output.length) {
      if (this._blocks.length === 0) {
        this._underrun();
        break;
      }
      written = this._copy(output, written);
    }
    for (let index = written; index < output.length; index += 1) {
      this._last *= 0.9; // a decay instead of a step: no click
      output[index] = this._last;
    }
    this._watch(output.length);
  }

  _copy(output, start) {
    if (this._offset === 0 && this._surplus && rms(this._blocks[0]) < QUIET_RMS) {
      this.squeezedMs += this._shift() / this._perMs;
      this._surplus = this.bufferedMs > this.targetMs;
      return start;
    }
    const block = this._blocks[0];
    const count = Math.min(output.length - start, block.length - this._offset);
    for (let index = 0; index < count; index += 1) {
      const gain = this._ramp < RAMP_SAMPLES ? (this._ramp += 1) / RAMP_SAMPLES : 1;
      output[start + index] = block[this._offset + index] * gain;
    }
    this._last = output[start + count - 1];
    this._offset += count;
    this._buffered -= count;
    this.playedSamples += count;
    if (this._offset === block.length) {
      this._blocks.shift();
      this._offset = 0;
    }
    return start + count;
  }

  _shift() {
    const removed = this._blocks.shift().length - this._offset;
    this._offset = 0;
    this._buffered -= removed;
    return removed;
  }

  _underrun() {
    this.playing = false;
    this.underruns += 1;
    this._calmSamples = 0;
    this.targetMs = Math.min(this._maxTargetMs, this.targetMs + STEP_UP_MS);
  }

  /** Once a second: is there a surplus that never goes? Every ten calm seconds: a shorter delay. */
  _watch(samples) {
    if (!this.playing) return;
    this._windowMinMs = Math.min(this._windowMinMs, this.bufferedMs);
    this._windowSamples += samples;
    this._calmSamples += samples;
    if (this._windowSamples >= WINDOW_S * 1000 * this._perMs) {
      this._surplus = this._windowMinMs > this.targetMs;
      this._windowSamples = 0;
      this._windowMinMs = Infinity;
    }
    if (this._calmSamples >= CALM_S * 1000 * this._perMs) {
      this._calmSamples = 0;
      this.targetMs = Math.max(this._minTargetMs, this.targetMs - STEP_DOWN_MS);
    }
  }
}
