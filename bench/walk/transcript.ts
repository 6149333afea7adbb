/** Transcripts in a page: the commands of its `console` blocks, a script that runs them, and the page with their output. */

/** A command of the page that was run. */
export interface WalkedCommand {
  readonly command: string
  /** Both streams of it, without the last line feed. */
  readonly output: string
  readonly ms: number
}

const blockPattern = /^```console\n([\s\S]*?)^```$/gm
const mark = '-- walked --'
/** A page whose lines are wider is not read. */
const columnsMax = 160
/** Lines of one kind in a row, as those of a compiler: more are told as a number. */
const alikeMax = 5

/** The commands of each block: its lines that begin with `# `. */
export function commandsOf(page: string): string[][] {
  return [...page.matchAll(blockPattern)].map(([, block]) =>
    block!
      .split('\n')
      .filter(line => line.startsWith('# '))
      .map(line => line.slice(2)),
  )
}

/** A shell script that runs them, ends at the first that fails, and says the end of each. */
export function scriptOf(commands: readonly string[]): string {
  const steps = commands.map((command, k) => {
    // In the script's own shell: a command may change the directory of the next.
    const wrapped = `began=$(date +%s%N)\n{ ${command}\n} 2>&1\ncode=$?\n`
    return `${wrapped}echo "${mark} ${k} $code $((($(date +%s%N) - began) / 1000000))"\n[ $code = 0 ] || exit 1\n`
  })
  return `export DEBIAN_FRONTEND=noninteractive COLUMNS=110\nmkdir -p /srv/parents\ncd /root\n${steps.join('')}`
}

/** The commands that were run, with the last that failed. */
export function resultsOf(commands: readonly string[], stdout: string): WalkedCommand[] {
  const pattern = new RegExp(`^${mark} (\\d+) (\\d+) (\\d+)\n`, 'm')
  const walked: WalkedCommand[] = []
  let rest = stdout
  for (const command of commands) {
    const end = pattern.exec(rest)
    if (end === null) return [...walked, { command, output: rest, ms: 0 }]
    walked.push({ command, output: rest.slice(0, end.index).replace(/\n$/, ''), ms: Number(end[3]) })
    rest = rest.slice(end.index + end[0].length)
    if (end[2] !== '0') return walked
  }
  return walked
}

/** The page with the output of a part below each command, and the part's row of the times. */
export function withResults(
  page: string,
  part: number,
  walked: readonly WalkedCommand[],
  { load }: { readonly load: number },
): string {
  let index = -1
  const text = page.replace(blockPattern, (block: string) => {
    if (++index !== part) return block
    const lines = walked.flatMap(({ command, output }) => [`# ${command}`, ...outputLines(output)])
    return `\`\`\`console\n${lines.join('\n')}\n\`\`\``
  })
  const seconds = walked.reduce((sum, { ms }) => sum + ms, 0) / 1000
  const row = `| part ${part + 1} | ${walked.length} | ${seconds.toFixed(0)} s | ${slowestOf(walked)} | ${load.toFixed(0)} |`
  const rowPattern = new RegExp(`^\\| part ${part + 1} \\|.*$`, 'm')
  if (rowPattern.test(text)) return text.replace(rowPattern, () => row)
  return `${text.trimEnd()}\n${row}\n`
}

function outputLines(output: string): string[] {
  const lines = output.split('\n').map(line => line.trimEnd().split('\r').at(-1)!)
  if (output === '') return []
  return withoutRuns(lines).map(line => (line.length > columnsMax ? `${line.slice(0, columnsMax)}…` : line))
}

/** Of more lines in a row that are indented and begin with the same word, the first and the last. */
function withoutRuns(lines: readonly string[]): string[] {
  const kindOf = (line: string | undefined) => /^ +\S+ /.exec(line ?? '')?.[0] ?? null
  const kept: string[] = []
  for (let k = 0; k < lines.length; ) {
    let end = k + 1
    while (kindOf(lines[k]) !== null && kindOf(lines[end]) === kindOf(lines[k])) end++
    const run = lines.slice(k, end)
    kept.push(...(run.length > alikeMax ? [run[0]!, `  … ${run.length - 2} lines …`, run.at(-1)!] : run))
    k = end
  }
  return kept
}

function slowestOf(walked: readonly WalkedCommand[]): string {
  const bySeconds = walked.toSorted((one, other) => other.ms - one.ms).slice(0, 3)
  return bySeconds.map(({ command, ms }) => `\`${nameOf(command)}\` ${(ms / 1000).toFixed(1)} s`).join(', ')
}

/** The first words of the command that does the work. */
function nameOf(command: string): string {
  return command
    .split(/ (?:&&|\|) /)
    .at(-1)!
    .replaceAll('-qq ', '')
    .split(' ')
    .slice(0, 2)
    .join(' ')
}
