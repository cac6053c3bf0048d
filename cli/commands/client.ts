// The commands that talk to a cluster: opens the session, runs the command, closes it.
import { openSession, type Session, type SessionOptions } from '../session.ts';
import { apply } from './apply.ts';
import { type DeleteCommandOptions, remove } from './delete.ts';
import { describe } from './describe.ts';
import { exec, type ExecOptions } from './exec.ts';
import { get, type GetOptions } from './get.ts';
import { logs, type LogsOptions } from './logs.ts';
import { readManifests } from '../manifests.ts';
import { UserError } from '../user-error.ts';

const print = (line: string) => void process.stdout.write(`${line}\n`);

async function withSession<T>(
  options: SessionOptions,
  work: (session: Session, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const session = openSession(options);
  const controller = new AbortController();
  const onInterrupt = () => {
    process.exitCode = 130;
    controller.abort();
  };
  process.once('SIGINT', onInterrupt);
  // A reader that went away (`| head`) ends the command quietly.
  process.stdout.on('error', () => controller.abort());
  try {
    return await work(session, controller.signal);
  } catch (error) {
    if (controller.signal.aborted) return undefined as T;
    throw error;
  } finally {
    process.off('SIGINT', onInterrupt);
    session.client.close();
  }
}

export const getCommand = (words: string[], options: SessionOptions & GetOptions) =>
  withSession(options, (session, signal) => get(session, words, options, print, signal));

export const describeCommand = (words: string[], options: SessionOptions & { selector?: string }) =>
  withSession(options, (session) => describe(session, words, { ...options, headers: true }, print, Date.now()));

export const applyCommand = (options: SessionOptions & { filename: string[]; recursive?: boolean }) =>
  withSession(options, (session) => apply(session, readManifests(options.filename, options.recursive), print));

export const deleteCommand = (words: string[], options: SessionOptions & DeleteCommandOptions) => {
  if (words.length === 0 && !options.filename)
    throw new UserError('name what to delete: a type and a name, or -f FILE');
  return withSession(options, (session, signal) => remove(session, words, options, print, signal));
};

export const logsCommand = (pod: string, options: SessionOptions & LogsOptions) =>
  withSession(options, (session, signal) =>
    logs(session, pod, options, (chunk) => void process.stdout.write(chunk), signal),
  );

export const execCommand = (pod: string, command: string[], options: SessionOptions & ExecOptions) =>
  withSession(options, async (session) => {
    process.exitCode = await exec(session, pod, command, options, process);
  });
