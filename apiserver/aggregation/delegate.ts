// An API of this process that is no part of the registry: its objects are made when they are asked for.
import type { APIResourceList } from '../../api/types/meta.ts';
import type { Exchange } from '../http/exchange.ts';

export interface Delegate {
  readonly group: string;
  readonly version: string;
  readonly priorities: { groupPriorityMinimum: number; versionPriority: number };
  readonly resources: APIResourceList;
  /** /apis/GROUP/VERSION and everything below, authorized already. Throws ApiError. */
  serve(exchange: Exchange): Promise<void>;
}
