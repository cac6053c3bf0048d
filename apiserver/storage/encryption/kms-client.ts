// Calls to a KMS v2 plugin on its unix socket. gRPC is loaded when a configuration names a plugin.
import type { GrpcClient } from '../../../lib/grpc/client.ts';
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

const isNotServed = (): never => {
  throw new Error('plugins are asked, not served');
};
const SERVER_SIDE = { requestDeserialize: isNotServed, responseSerialize: isNotServed };

/** `socket`: its path, or `@name` of an abstract one. */
export function kmsClient(socket: string, timeoutMs: number): KmsService {
  let client: Promise<GrpcClient> | undefined;
  async function connect(): Promise<GrpcClient> {
    const { createGrpcClient } = await import('../../../lib/grpc/client.ts');
    // Node writes an abstract name as Linux does, with a zero byte in front (unix(7)).
    return createGrpcClient({ socketPath: socket.replace(/^@/, '\0') });
  }
  async function call<Q, A>(
    method: string,
    encode: (question: Q) => Buffer,
    decode: (bytes: Buffer) => A,
    question: Q,
  ): Promise<A> {
    const { GrpcError, status } = await import('../../../lib/grpc/status.ts');
    client ??= connect();
    const connected = await client;
    const definition = {
      path: SERVICE + method,
      requestStream: false,
      responseStream: false,
      requestSerialize: () => encode(question),
      responseDeserialize: (bytes: Buffer) => decode(bytes) as object,
      ...SERVER_SIDE,
    };
    try {
      return await connected.unary<A>(definition, {}, { timeoutMs });
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error;
      const name = Object.entries(status).find(([, code]) => code === error.code)?.[0] ?? '';
      throw new KmsError(codeName(name), error.details || error.message);
    }
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
