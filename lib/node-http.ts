// node:http for servers and clients of our own. Imported as a module, it would load all of Node's fetch with it, for the
// WebSocket and the other web classes among its exports: 60 ms of a start, and memory that nobody uses.
import type * as NodeHttp from 'node:http';

export const http: typeof NodeHttp = process.getBuiltinModule('node:http');
