/**
 * Ogg pages of one Opus stream, both ways (RFC 3533, RFC 7845). Pure: bytes in, bytes out.
 * Knows no codec, no socket and no clock.
 */

const CAPTURE = [0x4f, 0x67, 0x67, 0x53]; // "OggS"
const HEADER_BYTES = 27;
const MAX_PACKET_BYTES = 64 * 1024;
const FLAG_CONTINUED = 1;
const FLAG_FIRST = 2;
const FLAG_LAST = 4;
/** Granule positions of Ogg-Opus count at 48 kHz, whatever rate the encoder was given. */
const GRANULE_RATE = 48000;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index << 24;
  for (let bit = 0; bit < 8; bit += 1) value = value & 0x80000000 ? (value << 1) ^ 0x04c11db7 : value << 1;
  return value >>> 0;
});

/** Ogg's CRC-32 of a page whose checksum field is taken as zero. */
export function pageCrc(page) {
  let crc = 0;
  for (let index = 0; index < page.length; index += 1) {
    const byte = index >= 22 && index < 26 ? 0 : page[index];
    crc = ((crc << 8) ^ CRC_TABLE[(crc >>> 24) ^ byte]) >>> 0;
  }
  return crc;
}

/** Bytes of several arrays, one after the other. */
export function concat(parts) {
  const total = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    total.set(part, offset);
    offset += part.length;
  }
  return total;
}

/** The OpusHead packet (RFC 7845 section 5.1): mono, channel mapping family 0. */
export function opusHead({ preSkip = 312, inputRate = 24000 } = {}) {
  const head = new Uint8Array(19);
  const view = new DataView(head.buffer);
  head.set(new TextEncoder().encode("OpusHead"));
  head[8] = 1;
  head[9] = 1;
  view.setUint16(10, preSkip, true);
  view.setUint32(12, inputRate, true);
  return head;
}

function opusTags(vendor) {
  const name = new TextEncoder().encode(vendor);
  const tags = new Uint8Array(8 + 4 + name.length + 4);
  const view = new DataView(tags.buffer);
  tags.set(new TextEncoder().encode("OpusTags"));
  view.setUint32(8, name.length, true);
  tags.set(name, 12);
  return tags;
}

/** Samples at 48 kHz that an Opus packet holds, from its table-of-contents byte (RFC 6716 section 3.1). */
export function opusPacketSamples(packet) {
  if (packet.length === 0) return 0;
  const config = packet[0] >> 3;
  let frame;
  if (config < 12) frame = [480, 960, 1920, 2880][config & 3];
  else if (config < 16) frame = [480, 960][config & 1];
  else frame = [120, 240, 480, 960][config & 3];
  const code = packet[0] & 3;
  if (code === 0) return frame;
  if (code < 3) return 2 * frame;
  return packet.length < 2 ? 0 : frame * (packet[1] & 63);
}

/** Writes Ogg pages of a fixed number of Opus packets. */
export class OggOpusMuxer {
  /** `packetsPerPage` packets make a page: 4 of 20 ms are the 80 ms frame of the voice engines. */
  constructor({ serial = 1, preSkip = 312, inputRate = 24000, packetsPerPage = 4 } = {}) {
    this._serial = serial >>> 0;
    this._preSkip = preSkip;
    this._inputRate = inputRate;
    this._packetsPerPage = packetsPerPage;
    this._sequence = 0;
    this._granule = 0;
    this._pending = [];
  }

  /** The stream's two header pages. Send them first. */
  headers() {
    const head = this._page([opusHead({ preSkip: this._preSkip, inputRate: this._inputRate })], FLAG_FIRST, 0);
    return concat([head, this._page([opusTags("splitbrain")], 0, 0)]);
  }

  /** Take one packet; returns a page when it is full, else null. */
  add(packet) {
    this._pending.push(packet);
    this._granule += opusPacketSamples(packet);
    return this._pending.length < this._packetsPerPage ? null : this._flush(0);
  }

  /** The last page, marked as the end of the stream; it may hold no packet. */
  finish() {
    return this._flush(FLAG_LAST);
  }

  _flush(flags) {
    const packets = this._pending;
    this._pending = [];
    return this._page(packets, flags, this._granule);
  }

  _page(packets, flags, granule) {
    const lacing = [];
    for (const packet of packets) {
      for (let left = packet.length; ; left -= 255) {
        lacing.push(Math.min(left, 255));
        if (left < 255) break;
      }
    }
    if (lacing.length > 255) throw new RangeError("the packets do not fit one Ogg page");
    const body = concat(packets);
    const page = new Uint8Array(HEADER_BYTES + lacing.length + body.length);
    const view = new DataView(page.buffer);
    page.set(CAPTURE);
    page[5] = flags;
    view.setUint32(6, granule % 2 ** 32, true);
    view.setUint32(10, Math.floor(granule / 2 ** 32), true);
    view.setUint32(14, this._serial, true);
    view.setUint32(18, this._sequence, true);
    page[26] = lacing.length;
    page.set(lacing, HEADER_BYTES);
    page.set(body, HEADER_BYTES + lacing.length);
    view.setUint32(22, pageCrc(page), true);
    this._sequence += 1;
    return page;
  }
}

/**
 * Reads Opus packets from bytes in any chunking. A damaged page is skipped and counted; a new stream may
 * follow in the same bytes (a voice that moved to another worker begins one). It holds one incomplete page and
 * one incomplete packet at most.
 */
export class OggOpusDemuxer {
  constructor() {
    this._buffer = new Uint8Array(0);
    this._partial = [];
    this._nextSequence = -1;
    this._headersLeft = 0;
    /** Samples at 48 kHz to throw away at the start of the stream. */
    this.preSkip = 0;
    /** Streams begun, pages with a wrong checksum, pages missing, bytes that were no Ogg. */
    this.streams = 0;
    this.badPages = 0;
    this.lostPages = 0;
    this.skippedBytes = 0;
  }

  /** Add bytes; returns the Opus packets that are complete now (header packets left out). */
  push(bytes) {
    this._buffer = this._buffer.length ? concat([this._buffer, bytes]) : bytes;
    const packets = [];
    for (;;) {
      const size = this._alignAndMeasure();
      if (size === 0) return packets;
      const page = this._buffer.subarray(0, size);
      if (pageCrc(page) === new DataView(page.buffer, page.byteOffset).getUint32(22, true)) {
        this._buffer = this._buffer.subarray(size);
        this._readPage(page, packets);
      } else {
        this.badPages += 1;
        this._skip(1);
      }
    }
  }

  /** Drop what is before the next capture pattern; the page's size, or 0 while it is not complete. */
  _alignAndMeasure() {
    const start = this._findCapture();
    this._skip(start);
    const buffer = this._buffer;
    if (buffer.length < HEADER_BYTES || buffer.length < HEADER_BYTES + buffer[26]) return 0;
    let size = HEADER_BYTES + buffer[26];
    for (let index = 0; index < buffer[26]; index += 1) size += buffer[HEADER_BYTES + index];
    return buffer.length < size ? 0 : size;
  }

  _findCapture() {
    const buffer = this._buffer;
    for (let start = 0; start < buffer.length; start += 1) {
      const fits = CAPTURE.every((byte, index) => start + index >= buffer.length || buffer[start + index] === byte);
      if (fits) return start;
    }
    return buffer.length;
  }

  _skip(count) {
    this.skippedBytes += count;
    if (count) this._buffer = this._buffer.slice(count);
  }

  _readPage(page, packets) {
    const view = new DataView(page.buffer, page.byteOffset);
    const flags = page[5];
    const sequence = view.getUint32(18, true);
    if (flags & FLAG_FIRST) this._beginStream();
    else if (this._nextSequence >= 0 && sequence !== this._nextSequence) {
      this.lostPages += 1;
      this._partial = [];
    }
    this._nextSequence = (sequence + 1) >>> 0;
    let skipFirst = Boolean(flags & FLAG_CONTINUED) && this._partial.length === 0;
    if (!(flags & FLAG_CONTINUED)) this._partial = [];
    let offset = HEADER_BYTES + page[26];
    for (let index = 0; index < page[26]; index += 1) {
      const length = page[HEADER_BYTES + index];
      this._partial.push(page.slice(offset, offset + length));
      offset += length;
      if (length === 255) continue;
      const packet = concat(this._partial);
      this._partial = [];
      if (!skipFirst) this._takePacket(packet, packets);
      skipFirst = false;
    }
    if (skipFirst || this._partial.length * 255 > MAX_PACKET_BYTES) this._partial = [];
  }

  _beginStream() {
    this.streams += 1;
    this._headersLeft = 2;
    this._partial = [];
  }

  _takePacket(packet, packets) {
    if (this._headersLeft === 2) {
      const isHead = new TextDecoder().decode(packet.subarray(0, 8)) === "OpusHead" && packet.length >= 19;
      this.preSkip = isHead ? packet[10] | (packet[11] << 8) : 0;
    }
    if (this._headersLeft > 0) this._headersLeft -= 1;
    else if (this.streams > 0 && packet.length > 0) packets.push(packet);
  }
}

/** Milliseconds of an Opus packet. */
export function opusPacketMs(packet) {
  return (opusPacketSamples(packet) * 1000) / GRANULE_RATE;
}
