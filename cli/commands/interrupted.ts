// Ctrl-C, termination, or the terminal closing. A second Ctrl-C ends the process at once.

export function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    let times = 0;
    const onSignal = () => {
      if (++times > 1) process.exit(130);
      resolve();
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  });
}
