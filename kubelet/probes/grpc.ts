// The gRPC health protocol (grpc.health.v1), one Check call.
import { createGrpcClient } from '../../lib/grpc/client.ts';
import { parseProto } from '../../lib/grpc/proto-file.ts';
import { GrpcError, status } from '../../lib/grpc/status.ts';

const health = parseProto(`
  package grpc.health.v1;
  message HealthCheckRequest { string service = 1; }
  message HealthCheckResponse {
    enum ServingStatus { UNKNOWN = 0; SERVING = 1; NOT_SERVING = 2; SERVICE_UNKNOWN = 3; }
    ServingStatus status = 1;
  }
  service Health { rpc Check(HealthCheckRequest) returns (HealthCheckResponse); }
`).service('Health');

/** Resolves with undefined when serving, else with the failure's text. */
export async function grpcHealth(
  host: string,
  port: number,
  service: string,
  timeoutMs: number,
): Promise<string | undefined> {
  const client = createGrpcClient({ host, port });
  try {
    const answer = await client.unary<{ status: string | number }>(
      health['Check'] as never,
      { service },
      { timeoutMs },
    );
    if (answer.status === 'SERVING') return undefined;
    return `service unhealthy (responded with "${answer.status}")`;
  } catch (error) {
    const { code, details } =
      error instanceof GrpcError ? error : { code: status.UNKNOWN, details: (error as Error).message };
    if (code === status.UNIMPLEMENTED)
      return `this server does not implement the grpc health protocol (grpc.health.v1.Health): ${details}`;
    if (code === status.DEADLINE_EXCEEDED || code === status.UNAVAILABLE) {
      const target = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
      return `timeout: failed to connect service "${target}" within ${timeoutMs / 1000}s: ${details}`;
    }
    return `error: health rpc probe failed: ${details}`;
  } finally {
    client.close();
  }
}
