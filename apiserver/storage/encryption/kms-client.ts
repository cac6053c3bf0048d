// Calls to a KMS v2 plugin on its unix socket. gRPC is loaded when a configuration names a plugin.
import type { Client } from '@grpc/grpc-js';
import {
  type DecryptQuestion,
  decodeDecrypted,
  decodeEncrypted,
  decodeStatus,
  type EncryptAnswer,
  encodeDecrypt,
  encodeEncrypt,
  encodeNothing,
  type StatusAnswer,
} from './kms-messages.ts';

export interface KmsService {
  status(): Promise<StatusAnswer>;
  encrypt(uid: string, plaintext: Buffer): Promise<EncryptAnswer>;
  decrypt(question: DecryptQuestion): Promise<Buffer>;
  close(): void;
}

/** The call failed; the message is as Go programs show it. */
export class KmsError extends Error {
  /** gRPC's, as metrics name it: `Unavailable`. */
  readonly code: string;
  constructor(code: string, details: string) {
    super(`rpc error: code = ${code} desc = ${details}`);
    this.name = 'KmsError';
    this.code = code;
  }
}

const SERVICE = '/v2.KeyManagementService/';

/** `socket`: its path, or `@name` of an abstract one. */
export function kmsClient(socket: string, timeoutMs: number): KmsService {
  let client: Promise<Client> | undefined;
  async function connect(): Promise<Client> {
    const grpc = await import('@grpc/grpc-js');
    const target = socket.startsWith('@') ? `unix-abstract:${socket.slice(1)}` : `unix:${socket}`;
    return new grpc.Client(target, grpc.credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.default_authority': 'localhost',
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1000,
    });
  }
  async function call<Q, A>(
    method: string,
    encode: (question: Q) => Buffer,
    decode: (bytes: Buffer) => A,
    question: Q,
  ) {
    const { status } = await import('@grpc/grpc-js');
    client ??= connect();
    const connected = await client;
    return new Promise<A>((resolve, reject) => {
      const deadline = new Date(Date.now() + timeoutMs);
      connected.makeUnaryRequest(SERVICE + method, encode, decode, question, { deadline }, (error, answer) => {
        if (error) reject(new KmsError(codeName(status[error.code] ?? ''), error.details || error.message));
        else resolve(answer as A);
      });
    });
  }
  return {
    status: () => call('Status', encodeNothing, decodeStatus, undefined),
    encrypt: (uid, plaintext) => call('Encrypt', encodeEncrypt, decodeEncrypted, { uid, plaintext }),
    decrypt: (question) => call('Decrypt', encodeDecrypt, decodeDecrypted, question),
    close() {
      void client?.then((each) => each.close());
      client = undefined;
    },
  };
}

/** `FAILED_PRECONDITION` is `FailedPrecondition` in Go. */
const codeName = (name: string): string =>
  name
    .split('_')
    .map((each) => each.charAt(0) + each.slice(1).toLowerCase())
    .join('')
    .replace(/^Cancelled$/, 'Canceled') || 'Unknown';
