// GetContainerEvents: a reader that falls 1,000 events behind is ended with RESOURCE_EXHAUSTED and lists again.
import { status } from '../../lib/grpc/status.ts';
import { StreamOverflowError } from '../../lib/stream.ts';
import type { StreamCall } from './context.ts';
import { CriError } from './errors.ts';

export const getContainerEvents: StreamCall<'GetContainerEvents'> = async function* (context, _request, signal) {
  const stream = context.events.subscribe();
  const end = () => stream.end();
  signal.addEventListener('abort', end, { once: true });
  try {
    yield* stream;
  } catch (error) {
    if (error instanceof StreamOverflowError)
      throw new CriError(status.RESOURCE_EXHAUSTED, error.message, { cause: error });
    throw error;
  } finally {
    signal.removeEventListener('abort', end);
    stream.end();
  }
};
