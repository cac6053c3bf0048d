// The gRPC health protocol (grpc.health.v1), one Check call; its two messages are small enough to write by hand.
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';

const SERVING = 1;

/** Resolves with undefined when serving, else with the failure's text. */
export function grpcHealth(
  host: string,
  port: number,
  service: string,
  timeoutMs: number,
  nowMs: number,
): Promise<string | undefined> {
  const target = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  const client = new Client(target, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  const metadata = new Metadata();
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      '/grpc.health.v1.Health/Check',
      encodeRequest,
      decodeStatus,
      service,
      metadata,
      { deadline: nowMs + timeoutMs },
      (error: ServiceError | null, serving?: number) => {
        client.close();
        if (!error) {
          resolve(
            serving === SERVING
              ? undefined
              : `service unhealthy (responded with "${serving === 2 ? 'NOT_SERVING' : 'UNKNOWN'}")`,
          );
        } else if (error.code === status.UNIMPLEMENTED) {
          resolve(`this server does not implement the grpc health protocol (grpc.health.v1.Health): ${error.details}`);
        } else if (error.code === status.DEADLINE_EXCEEDED || error.code === status.UNAVAILABLE) {
          resolve(`timeout: failed to connect service "${target}" within ${timeoutMs / 1000}s: ${error.details}`);
        } else resolve(`error: health rpc probe failed: ${error.details}`);
      },
    );
  });
}

/** message HealthCheckRequest { string service = 1; } */
function encodeRequest(service: string): Buffer {
  const text = Buffer.from(service);
  if (text.length === 0) return Buffer.alloc(0);
  const length: number[] = [];
  for (let rest = text.length; ; rest >>= 7) {
    if (rest < 0x80) {
      length.push(rest);
      break;
    }
    length.push((rest & 0x7f) | 0x80);
  }
  return Buffer.concat([Buffer.from([0x0a, ...length]), text]);
}

/** message HealthCheckResponse { ServingStatus status = 1; } */
function decodeStatus(bytes: Buffer): number {
  return bytes[0] === 0x08 ? (bytes[1] ?? 0) : 0;
}
