/** How long a frame takes to the server and back, and when to reconnect. Pure: the caller gives the time. */

const FRAME_SAMPLES = 3840; // 80 ms at 48 kHz, the unit of Opus packet lengths
const MAX_PENDING = 256;
const MAX_RECENT = 25;
const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 4000;

/**
 * The server sends one 80 ms frame for each that comes in. So the end of frame n going out and the end of frame
 * n coming back are a pair; the time between them is the round trip.
 */
export class RoundTrip {
  constructor() {
    this._sent = [];
    this._sentSamples = 0;
    this._receivedSamples = 0;
    this._firstPending = 0;
    this._recent = [];
  }

  addSent(samplesAt48k, nowMs) {
    const before = Math.floor(this._sentSamples / FRAME_SAMPLES);
    this._sentSamples += samplesAt48k;
    const after = Math.floor(this._sentSamples / FRAME_SAMPLES);
    for (let frame = before; frame < after; frame += 1) this._sent.push(nowMs);
    while (this._sent.length > MAX_PENDING) {
      this._sent.shift();
      this._firstPending += 1;
    }
  }

  addReceived(samplesAt48k, nowMs) {
    this._receivedSamples += samplesAt48k;
    const frames = Math.floor(this._receivedSamples / FRAME_SAMPLES);
    while (this._firstPending < frames && this._sent.length > 0) {
      this._recent.push(nowMs - this._sent.shift());
      this._firstPending += 1;
      if (this._recent.length > MAX_RECENT) this._recent.shift();
    }
  }

  /** Median of the last frames in ms, or null before the first. */
  medianMs() {
    if (this._recent.length === 0) return null;
    const sorted = [...this._recent].sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)];
  }
}

/** When to try again after a lost connection: growing pauses, until the server no longer keeps the conversation. */
export class RetryPlan {
  constructor(windowMs, nowMs) {
    this._until = nowMs + windowMs;
    this._pauseMs = FIRST_PAUSE_MS;
  }

  /** The pause before the next attempt, or null when it would be too late. */
  nextPauseMs(nowMs) {
    const pauseMs = this._pauseMs;
    this._pauseMs = Math.min(LONGEST_PAUSE_MS, 2 * pauseMs);
    return nowMs + pauseMs <= this._until ? pauseMs : null;
  }
}
