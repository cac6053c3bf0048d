// Calls of the protocol that this runtime does not have, each refused by name.
import { status } from '../../lib/grpc/status.ts';
import { CriError } from './errors.ts';

export const unimplemented = (method: string) => async (): Promise<never> => {
  throw new CriError(status.UNIMPLEMENTED, `${method} is not implemented`);
};
