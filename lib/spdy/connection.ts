// A SPDY/3.1 connection over any duplex stream: each SPDY stream is a Duplex with half-close and back-pressure.
//
//   transport ─▶ parser ─▶ stream's read buffer (its reader slow: the transport is paused at `readLimit` bytes)
//   stream.write ─▶ window (only for peers that use flow control) ─▶ transport (slow: the writer waits)
//
// Peers built on Go's spdystream never send WINDOW_UPDATE and never obey windows, so a peer's window is respected only
// once it has shown that it knows of windows.
import { Duplex } from 'node:stream';
import { FrameParser, FrameSerialiser, rstStatus, settingInitialWindow, type SpdyFrame } from './frames.ts';
import type { SpdyHeaders } from './headers.ts';

const initialWindow = 65536;
/** Bytes that may wait in one stream before the transport is paused. */
const readLimit = 256 * 1024;
const maxStreams = 1024;
const maxDataBytes = 16 * 1024;

export interface SpdyConnectionOptions {
  role: 'client' | 'server';
  /** A stream the peer opens; it is answered already. Throwing refuses it. */
  onStream: (stream: SpdyStream) => void;
  /** Once, when the transport has closed or the peer broke the protocol. */
  onClose?: (error: Error | undefined) => void;
}

export class SpdyStream extends Duplex {
  readonly id: number;
  readonly headers: SpdyHeaders;
  #connection: SpdyConnection;
  #waitingChunks: Buffer[] = [];
  #unread = 0;
  #isWanted = false;
  #pushedEnd = false;
  #window: number;
  #waiting: (() => void) | undefined;
  #sentFin = false;
  #gotFin = false;

  constructor(connection: SpdyConnection, id: number, headers: SpdyHeaders, window: number) {
    super({ allowHalfOpen: true, readableHighWaterMark: maxDataBytes, writableHighWaterMark: 64 * 1024 });
    this.#connection = connection;
    this.id = id;
    this.headers = headers;
    this.#window = window;
  }

  header(name: string): string {
    return this.headers[name]?.[0] ?? '';
  }

  /** Both directions are over. */
  get isDone(): boolean {
    return this.#sentFin && this.#gotFin;
  }

  get backlog(): number {
    return this.#unread;
  }

  // Called by the connection. Chunks wait here until the reader asks; only then the peer may send more.
  receive(data: Buffer, fin: boolean): void {
    if (this.destroyed || this.#gotFin) return;
    if (data.length > 0) {
      this.#waitingChunks.push(data);
      this.#unread += data.length;
    }
    this.#gotFin = fin;
    this.#deliver();
  }

  #deliver(): void {
    while (this.#isWanted) {
      const chunk = this.#waitingChunks.shift();
      if (!chunk) break;
      this.#unread -= chunk.length;
      // push may ask for more at once, by calling _read.
      this.#isWanted = false;
      if (this.push(chunk)) this.#isWanted = true;
      this.#connection.consumed(this, chunk.length);
    }
    if (this.#gotFin && this.#waitingChunks.length === 0 && !this.#pushedEnd) {
      this.#pushedEnd = true;
      this.push(null);
    }
  }

  grant(delta: number): void {
    this.#window += delta;
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
  }

  override _read(): void {
    this.#isWanted = true;
    this.#deliver();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#send(chunk, 0).then(() => callback(), callback);
  }

  async #send(chunk: Buffer, start: number): Promise<void> {
    for (let at = start; at < chunk.length; ) {
      while (this.#connection.obeysWindows && this.#window <= 0 && !this.destroyed) {
        await new Promise<void>((resolve) => {
          this.#waiting = resolve;
        });
      }
      if (this.destroyed) return;
      const room = this.#connection.obeysWindows ? this.#window : maxDataBytes;
      const part = chunk.subarray(at, at + Math.min(room, maxDataBytes));
      this.#window -= part.length;
      at += part.length;
      await this.#connection.send({ type: 'data', streamId: this.id, fin: false, data: part });
    }
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#sentFin = true;
    this.#connection.send({ type: 'data', streamId: this.id, fin: true, data: Buffer.alloc(0) }).then(() => {
      this.#connection.settle(this);
      callback();
    }, callback);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#wake();
    this.#connection.forget(this, !this.isDone);
    callback(error);
  }
}

export class SpdyConnection {
  #transport: Duplex;
  #options: SpdyConnectionOptions;
  #parser = new FrameParser();
  #serialiser = new FrameSerialiser();
  #streams = new Map<number, SpdyStream>();
  #nextId: number;
  #lastPeerId = 0;
  #closed = false;
  #peerWindow = initialWindow;
  #paused = false;
  obeysWindows = false;

  constructor(transport: Duplex, options: SpdyConnectionOptions) {
    this.#transport = transport;
    this.#options = options;
    this.#nextId = options.role === 'client' ? 1 : 2;
    transport.on('data', (bytes: Buffer) => this.#receive(bytes));
    transport.on('error', (error: Error) => this.#close(error));
    transport.on('end', () => this.#close(undefined));
    transport.on('close', () => this.#close(undefined));
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Opens a stream of our own. */
  open(headers: SpdyHeaders): SpdyStream {
    const id = this.#nextId;
    this.#nextId += 2;
    const stream = this.#add(id, headers);
    void this.send({
      type: 'synStream',
      streamId: id,
      associatedId: 0,
      priority: 0,
      fin: false,
      unidirectional: false,
      headers,
    });
    return stream;
  }

  /** Resolves when the transport takes more. */
  async send(frame: Exclude<SpdyFrame, { type: 'unknown' }>): Promise<void> {
    if (this.#closed) return;
    if (this.#transport.write(this.#serialiser.bytes(frame))) return;
    await new Promise<void>((resolve) => {
      const done = () => {
        this.#transport.off('drain', done);
        this.#transport.off('close', done);
        resolve();
      };
      this.#transport.once('drain', done);
      this.#transport.once('close', done);
    });
  }

  /** Says goodbye, sends what is waiting and closes the transport. */
  close(): void {
    if (this.#closed) return;
    void this.send({ type: 'goAway', lastStreamId: this.#lastPeerId, status: 0 });
    this.#close(undefined);
  }

  consumed(stream: SpdyStream, bytes: number): void {
    if (this.#streams.has(stream.id)) void this.send({ type: 'windowUpdate', streamId: stream.id, delta: bytes });
    this.#resumeIfDrained();
  }

  /** Drops a stream whose two directions are over. */
  settle(stream: SpdyStream): void {
    if (!stream.isDone || !this.#streams.delete(stream.id)) return;
    // What it still holds is all that it will ever hold: no reason to keep the transport paused, perhaps for good.
    this.#resumeIfDrained();
  }

  forget(stream: SpdyStream, reset: boolean): void {
    if (!this.#streams.delete(stream.id)) return;
    if (reset) void this.send({ type: 'rstStream', streamId: stream.id, status: rstStatus.cancel });
    this.#resumeIfDrained();
  }

  #add(id: number, headers: SpdyHeaders): SpdyStream {
    const stream = new SpdyStream(this, id, headers, this.#peerWindow);
    stream.on('error', () => {});
    this.#streams.set(id, stream);
    return stream;
  }

  #receive(bytes: Buffer): void {
    if (this.#closed) return;
    try {
      for (const frame of this.#parser.push(bytes)) this.#frame(frame);
    } catch (error) {
      void this.send({ type: 'goAway', lastStreamId: this.#lastPeerId, status: 1 });
      this.#transport.destroy();
      this.#close(error as Error);
    }
  }

  #frame(frame: SpdyFrame): void {
    switch (frame.type) {
      case 'synStream':
        return this.#accept(frame);
      case 'data': {
        const stream = this.#streams.get(frame.streamId);
        if (!stream) {
          if (!frame.fin)
            void this.send({ type: 'rstStream', streamId: frame.streamId, status: rstStatus.invalidStream });
          return;
        }
        stream.receive(frame.data, frame.fin);
        if (stream.backlog > readLimit && !this.#paused) {
          this.#paused = true;
          this.#transport.pause();
        }
        this.settle(stream);
        return;
      }
      case 'rstStream': {
        const stream = this.#streams.get(frame.streamId);
        this.#streams.delete(frame.streamId);
        stream?.destroy();
        this.#resumeIfDrained();
        return;
      }
      case 'ping': {
        const ours = frame.id % 2 === (this.#options.role === 'client' ? 1 : 0);
        if (!ours) void this.send({ type: 'ping', id: frame.id });
        return;
      }
      case 'windowUpdate':
        this.obeysWindows = true;
        this.#streams.get(frame.streamId)?.grant(frame.delta);
        return;
      case 'settings':
        for (const { id, value } of frame.values) {
          if (id !== settingInitialWindow) continue;
          this.obeysWindows = true;
          for (const stream of this.#streams.values()) stream.grant(value - this.#peerWindow);
          this.#peerWindow = value;
        }
        return;
      case 'synReply':
      case 'headers':
        if (frame.fin) this.#streams.get(frame.streamId)?.receive(Buffer.alloc(0), true);
        return;
      case 'goAway':
      case 'unknown':
        return;
    }
  }

  #accept(frame: SpdyFrame & { type: 'synStream' }): void {
    const { streamId } = frame;
    const refuse = (status: number) => void this.send({ type: 'rstStream', streamId, status });
    const theirs = streamId % 2 === (this.#options.role === 'server' ? 1 : 0);
    if (!theirs || streamId <= this.#lastPeerId) return refuse(rstStatus.protocolError);
    this.#lastPeerId = streamId;
    if (this.#streams.size >= maxStreams) return refuse(rstStatus.refusedStream);
    const stream = this.#add(streamId, frame.headers);
    void this.send({ type: 'synReply', streamId, fin: false, headers: {} });
    if (frame.fin) stream.receive(Buffer.alloc(0), true);
    try {
      this.#options.onStream(stream);
    } catch {
      stream.destroy();
    }
  }

  #resumeIfDrained(): void {
    if (!this.#paused) return;
    for (const stream of this.#streams.values()) if (stream.backlog > readLimit / 2) return;
    this.#paused = false;
    this.#transport.resume();
  }

  #close(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    // Server sockets are half-open: the peer's end is not ours.
    this.#transport.end();
    this.#transport.resume();
    for (const stream of this.#streams.values()) {
      this.#streams.delete(stream.id);
      stream.destroy(error ?? undefined);
    }
    this.#options.onClose?.(error);
  }
}
