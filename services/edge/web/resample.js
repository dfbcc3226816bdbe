/**
 * Streaming sample-rate conversion by a windowed-sinc kernel. Pure; used on the audio thread and on the main
 * thread. Where both rates are equal it hands the input through.
 */

const ZERO_CROSSINGS = 12;
const PHASES = 256;

function kernelTable(cutoff, half) {
  const table = [];
  for (let phase = 0; phase < PHASES; phase += 1) {
    const taps = new Float32Array(2 * half);
    let sum = 0;
    for (let tap = 0; tap < taps.length; tap += 1) {
      const x = tap - half + 1 - phase / PHASES;
      const window = 0.5 + 0.5 * Math.cos((Math.PI * x) / half); // Hann
      const sinc = x === 0 ? cutoff : Math.sin(Math.PI * cutoff * x) / (Math.PI * x);
      taps[tap] = Math.abs(x) >= half ? 0 : sinc * window;
      sum += taps[tap];
    }
    table.push(taps.map((value) => value / sum));
  }
  return table;
}

/** Converts blocks of mono samples from one rate to another and keeps its place between blocks. */
export class Resampler {
  constructor(fromRate, toRate) {
    this._step = fromRate / toRate;
    if (this._step === 1) return;
    const cutoff = Math.min(1, toRate / fromRate) * 0.94;
    this._half = Math.ceil(ZERO_CROSSINGS / cutoff);
    this._table = kernelTable(cutoff, this._half);
    this._history = new Float32Array(2 * this._half);
    this._position = this._half;
  }

  /** Samples at the new rate that are complete now; about 12 zero crossings are held back. */
  process(input) {
    if (this._step === 1) return input;
    const data = new Float32Array(this._history.length + input.length);
    data.set(this._history);
    data.set(input, this._history.length);
    const half = this._half;
    const count = Math.max(0, Math.ceil((data.length - half - this._position) / this._step));
    const output = new Float32Array(count);
    for (let index = 0; index < count; index += 1) {
      const position = this._position + index * this._step;
      const whole = Math.floor(position);
      const taps = this._table[Math.floor((position - whole) * PHASES)];
      let sum = 0;
      for (let tap = 0; tap < taps.length; tap += 1) sum += taps[tap] * data[whole - half + 1 + tap];
      output[index] = sum;
    }
    const next = this._position + count * this._step;
    const keep = Math.max(0, Math.floor(next) - half);
    this._history = data.slice(keep);
    this._position = next - keep;
    return output;
  }
}

/** Root mean square of samples, 0..1. */
export function rms(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return samples.length ? Math.sqrt(sum / samples.length) : 0;
}
