// Shows long work: a line that fills in on a terminal, plain lines elsewhere. Everything goes to one stream (stderr).

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

export interface Step {
  /** Changes what is shown beside the step's title. */
  update(detail: string): void;
  done(detail?: string): void;
  fail(detail: string): void;
}

export interface Progress {
  step(title: string): Step;
  note(line: string): void;
}

export function createProgress(stream: NodeJS.WriteStream, now: () => number = () => Date.now()): Progress {
  return stream.isTTY ? new TerminalProgress(stream, now) : new PlainProgress(stream, now);
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;

class PlainProgress implements Progress {
  #stream: NodeJS.WriteStream;
  #now: () => number;

  constructor(stream: NodeJS.WriteStream, now: () => number) {
    this.#stream = stream;
    this.#now = now;
  }

  step(title: string): Step {
    const started = this.#now();
    let shown = '';
    return {
      update: (detail) => {
        if (detail !== shown) this.note(`  ... ${title}: ${detail}`);
        shown = detail;
      },
      done: (detail) => this.note(`  ok  ${title}${detail ? `: ${detail}` : ''} (${seconds(this.#now() - started)})`),
      fail: (detail) => this.note(`  FAILED  ${title}: ${detail}`),
    };
  }

  note(line: string): void {
    this.#stream.write(`${line}\n`);
  }
}

class TerminalProgress implements Progress {
  #stream: NodeJS.WriteStream;
  #now: () => number;
  #live: { title: string; detail: string; started: number } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #frame = 0;

  constructor(stream: NodeJS.WriteStream, now: () => number) {
    this.#stream = stream;
    this.#now = now;
  }

  step(title: string): Step {
    const live = { title, detail: '', started: this.#now() };
    this.#live = live;
    this.#timer ??= setInterval(() => this.#draw(), 80).unref();
    this.#draw();
    const finish = (mark: string, detail = '') => {
      if (this.#live === live) {
        this.#live = undefined;
        clearInterval(this.#timer);
        this.#timer = undefined;
      }
      this.#line(`${mark} ${title}${detail ? `  ${dim(detail)}` : ''} ${dim(seconds(this.#now() - live.started))}`);
    };
    return {
      update: (detail) => {
        live.detail = detail;
        this.#draw();
      },
      done: (detail) => finish('\u001b[32m✔\u001b[0m', detail),
      fail: (detail) => finish('\u001b[31m✘\u001b[0m', detail),
    };
  }

  note(line: string): void {
    this.#line(line);
    this.#draw();
  }

  #line(text: string): void {
    this.#stream.write(`\r\u001b[2K${text}\n`);
  }

  #draw(): void {
    if (!this.#live) return;
    const { title, detail } = this.#live;
    const text = `${FRAMES[this.#frame++ % FRAMES.length]} ${title}${detail ? `  ${detail}` : ''}`;
    this.#stream.write(`\r\u001b[2K${text.slice(0, (this.#stream.columns || 80) - 1)}`);
  }
}

const dim = (text: string) => `\u001b[2m${text}\u001b[0m`;
