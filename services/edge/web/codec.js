/** Opus by the browser's WebCodecs. Owns the encoder and decoder objects; knows no Ogg and no socket. */

const RATE = 24000;
const PACKET_US = 20000;
/**
 * Packets that may wait in the decoder: 10 s, far more than the playback buffer keeps, so that of a burst the
 * newest is played. Beyond it packets are dropped and counted.
 */
const MAX_DECODE_QUEUE = 500;

const ENCODER_CONFIG = {
  codec: "opus",
  sampleRate: RATE,
  numberOfChannels: 1,
  bitrate: 32000,
  opus: { frameDuration: PACKET_US, application: "voip" },
};
const DECODER_CONFIG = { codec: "opus", sampleRate: RATE, numberOfChannels: 1 };

/** Why this browser cannot hold a conversation: "insecure", "codecs", "audio" or "microphone"; null if it can. */
export async function findSupportProblem() {
  if (!window.isSecureContext) return "insecure";
  if (!("AudioEncoder" in window && "AudioDecoder" in window)) return "codecs";
  if (!("AudioWorkletNode" in window)) return "audio";
  if (!navigator.mediaDevices?.getUserMedia) return "microphone";
  try {
    const answers = await Promise.all([
      AudioEncoder.isConfigSupported(ENCODER_CONFIG),
      AudioDecoder.isConfigSupported(DECODER_CONFIG),
    ]);
    return answers.every((answer) => answer.supported) ? null : "codecs";
  } catch {
    return "codecs";
  }
}

/** Makes one 20 ms Opus packet of each block of 480 samples at 24 kHz. */
export class OpusEncoder {
  /** `onPacket(Uint8Array)` gets each packet; `onError(Error)` is called at most once. */
  constructor(onPacket, onError) {
    this._timestamp = 0;
    this._encoder = new AudioEncoder({
      output: (chunk) => {
        const packet = new Uint8Array(chunk.byteLength);
        chunk.copyTo(packet);
        onPacket(packet);
      },
      error: onError,
    });
    this._encoder.configure(ENCODER_CONFIG);
  }

  encode(block) {
    if (this._encoder.state !== "configured") return;
    const data = new AudioData({
      format: "f32",
      sampleRate: RATE,
      numberOfFrames: block.length,
      numberOfChannels: 1,
      timestamp: this._timestamp,
      data: block,
    });
    this._timestamp += PACKET_US;
    this._encoder.encode(data);
    data.close();
  }

  close() {
    if (this._encoder.state !== "closed") this._encoder.close();
  }
}

/** Turns Opus packets into mono samples. */
export class OpusDecoder {
  /** `onPcm(Float32Array, sampleRate)`; after an error the decoder starts afresh and counts it. */
  constructor(onPcm) {
    this._onPcm = onPcm;
    this._timestamp = 0;
    this._skip = 0;
    this.dropped = 0;
    this.errors = 0;
    this._open();
  }

  /** Throw away the first samples (at 48 kHz) of a new stream, as its header asks. */
  skip(samplesAt48k) {
    this._skip = samplesAt48k;
  }

  decode(packet) {
    if (this._decoder.state !== "configured") this._open();
    if (this._decoder.decodeQueueSize >= MAX_DECODE_QUEUE) {
      this.dropped += 1;
      return;
    }
    this._decoder.decode(new EncodedAudioChunk({ type: "key", timestamp: this._timestamp, data: packet }));
    this._timestamp += PACKET_US;
  }

  close() {
    if (this._decoder.state !== "closed") this._decoder.close();
  }

  _open() {
    this._decoder = new AudioDecoder({
      output: (data) => this._take(data),
      error: () => {
        this.errors += 1;
      },
    });
    this._decoder.configure(DECODER_CONFIG);
  }

  _take(data) {
    const pcm = new Float32Array(data.numberOfFrames);
    data.copyTo(pcm, { planeIndex: 0, format: "f32-planar" });
    const rate = data.sampleRate;
    data.close();
    const skipped = Math.min(pcm.length, Math.round((this._skip * rate) / 48000));
    this._skip = Math.max(0, this._skip - (skipped * 48000) / rate);
    if (skipped < pcm.length) this._onPcm(pcm.subarray(skipped), rate);
  }
}
