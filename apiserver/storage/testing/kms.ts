// A small KMS v2 plugin on a real socket, with the messages as protobufjs reads the service's definition.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import protobuf from 'protobufjs';

export const KMS_PROTO = `syntax = "proto3"; package v2;
message StatusRequest {}
message StatusResponse { string version = 1; string healthz = 2; string key_id = 3; }
message DecryptRequest { bytes ciphertext = 1; string uid = 2; string key_id = 3; map<string, bytes> annotations = 4; }
message DecryptResponse { bytes plaintext = 1; }
message EncryptRequest { bytes plaintext = 1; string uid = 2; }
message EncryptResponse { bytes ciphertext = 1; string key_id = 2; map<string, bytes> annotations = 3; }
message EncryptedObject { bytes encryptedData = 1; string keyID = 2; bytes encryptedDEKSource = 3; map<string, bytes> annotations = 4; int32 encryptedDEKSourceType = 5; }
`;
export const kmsTypes = protobuf.parse(KMS_PROTO, { keepCase: true }).root;

export class TestKms {
  keyId = 'key-1';
  healthz = 'ok';
  version = 'v2';
  /** Answers nothing but errors. */
  isDown = false;
  readonly calls = { Status: 0, Encrypt: 0, Decrypt: 0 };
  #keys = new Map<string, Buffer>();
  #server = new Server();

  async listen(socket: string): Promise<void> {
    const method = (name: 'Status' | 'Encrypt' | 'Decrypt', answer: (question: any) => object) => {
      const request = kmsTypes.lookupType(`v2.${name}Request`);
      const response = kmsTypes.lookupType(`v2.${name}Response`);
      return {
        definition: {
          path: `/v2.KeyManagementService/${name}`,
          requestStream: false,
          responseStream: false,
          requestSerialize: (value: object) => Buffer.from(request.encode(value).finish()),
          requestDeserialize: (bytes: Buffer) => request.decode(bytes),
          responseSerialize: (value: object) => Buffer.from(response.encode(value).finish()),
          responseDeserialize: (bytes: Buffer) => response.decode(bytes),
        },
        handle: (call: { request: any }, done: (error: object | null, value?: object) => void) => {
          this.calls[name]++;
          if (this.isDown) return done({ code: status.FAILED_PRECONDITION, details: 'the vault is sealed' });
          try {
            done(null, answer(call.request));
          } catch (error) {
            done({ code: status.INVALID_ARGUMENT, details: (error as Error).message });
          }
        },
      };
    };
    const methods = {
      Status: method('Status', () => ({ version: this.version, healthz: this.healthz, key_id: this.keyId })),
      Encrypt: method('Encrypt', ({ plaintext }) => ({
        ciphertext: this.#seal(plaintext),
        key_id: this.keyId,
        annotations: { 'vault.example.com': Buffer.from('note') },
      })),
      Decrypt: method('Decrypt', ({ ciphertext, key_id, annotations }) => {
        if (Buffer.from(annotations['vault.example.com'] ?? '').toString() !== 'note') throw new Error('no annotation');
        return { plaintext: this.open(key_id, Buffer.from(ciphertext)) };
      }),
    };
    this.#server.addService(
      Object.fromEntries(Object.entries(methods).map(([name, each]) => [name, each.definition])) as never,
      Object.fromEntries(Object.entries(methods).map(([name, each]) => [name, each.handle])) as never,
    );
    await new Promise<void>((resolve, reject) =>
      this.#server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
        error ? reject(error) : resolve(),
      ),
    );
  }

  close(): void {
    this.#server.forceShutdown();
  }

  /** What the plugin knows: the plain text of what it has sealed. */
  open(keyId: string, sealed: Buffer): Buffer {
    const key = this.#keys.get(keyId);
    if (!key) throw new Error(`no key ${keyId}`);
    const cipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12)).setAuthTag(sealed.subarray(-16));
    return Buffer.concat([cipher.update(sealed.subarray(12, -16)), cipher.final()]);
  }

  #seal(plain: Uint8Array): Buffer {
    let key = this.#keys.get(this.keyId);
    if (!key) this.#keys.set(this.keyId, (key = randomBytes(32)));
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', key, nonce);
    return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  }
}
