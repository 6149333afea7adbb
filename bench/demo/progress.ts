/**
 * Progress of the demo: bars on a terminal, a line for each step elsewhere.
 */
import cliProgress from 'cli-progress'

export interface Progress {
  /** @param done bytes of the step's total */
  update(done: number): void
  /** @param note what is to be said about the step in the end */
  finish(note: string): void
}

const MiB = 1024 * 1024

/** Begin a step that reads `totalBytes`. */
export function beginStep(name: string, totalBytes: number): Progress {
  if (!process.stdout.isTTY) {
    return { update() {}, finish: note => console.log(`${name.padEnd(nameWidth)} ${note}`) }
  }
  const bar = new cliProgress.SingleBar(
    { format: `{name} {bar} {percentage} % {note}`, barsize: 24, hideCursor: true, fps: 20 },
    cliProgress.Presets.shades_classic,
  )
  const fields = { name: name.padEnd(nameWidth), note: '' }
  bar.start(Math.max(1, Math.round(totalBytes / MiB)), 0, fields)
  return {
    update: done => bar.update(Math.round(done / MiB), fields),
    finish: note => {
      bar.update(bar.getTotal(), { ...fields, note })
      bar.stop()
    },
  }
}

const nameWidth = 36
