/** The microphone: permission, cleaning by the browser, blocks of 20 ms. Owns the stream and its audio node. */

const CONSTRAINTS = {
  audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
};

/** The microphone cannot be used. `code`: refused | missing | busy. */
export class MicError extends Error {
  constructor(code, cause) {
    super(`microphone: ${code}`, { cause });
    this.code = code;
  }
}

function errorCode(error) {
  if (error.name === "NotAllowedError" || error.name === "SecurityError") return "refused";
  if (error.name === "NotFoundError" || error.name === "OverconstrainedError") return "missing";
  return "busy";
}

/** Ask for the microphone. Raises MicError. The caller stops the tracks if it does not go on. */
export async function askForMicrophone() {
  try {
    return await navigator.mediaDevices.getUserMedia(CONSTRAINTS);
  } catch (error) {
    throw new MicError(errorCode(error), error);
  }
}

export class Microphone {
  /** `onBlock(Float32Array of 480 samples at 24 kHz, rms)`; `onEnded()` if the device goes away. */
  static async open(stream, sharedContext, onBlock, onEnded) {
    let context = sharedContext;
    let source;
    try {
      source = context.createMediaStreamSource(stream);
    } catch {
      // Firefox connects a microphone only to a context of the device's own rate; the worklet converts.
      context = new AudioContext({ latencyHint: "interactive" });
      source = context.createMediaStreamSource(stream);
    }
    await context.audioWorklet.addModule(new URL("./worklets/capture.js", import.meta.url));
    const node = new AudioWorkletNode(context, "capture", { numberOfInputs: 1, numberOfOutputs: 1 });
    node.port.onmessage = (message) => onBlock(message.data.pcm, message.data.rms);
    source.connect(node);
    node.connect(context.destination); // it puts out silence; unconnected nodes may not run
    stream.getAudioTracks()[0].addEventListener("ended", onEnded);
    return new Microphone(stream, source, node, context === sharedContext ? null : context);
  }

  constructor(stream, source, node, ownContext) {
    this._stream = stream;
    this._source = source;
    this._node = node;
    this._ownContext = ownContext;
  }

  /** A muted microphone still gives blocks, of silence: the conversation's clock counts them. */
  setMuted(isMuted) {
    for (const track of this._stream.getAudioTracks()) track.enabled = !isMuted;
  }

  close() {
    this._node.port.onmessage = null;
    this._source.disconnect();
    this._node.disconnect();
    for (const track of this._stream.getTracks()) track.stop();
    this._ownContext?.close();
  }
}
