/**
 * The configuration file: YAML 1.2, small, without aliases. Every complaint has its line and column.
 *
 * Aliases are refused: a few lines of them can stand for gigabytes, and each setting in effect should stand where it is
 * written. A file that another user could have written is refused when it is opened, because it can name programs for
 * us to run.
 */
import type { Stats } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import {
  type Document,
  type ErrorCode,
  isMap,
  isPair,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
} from 'yaml'
import { messageOf } from '../../base/errors.ts'
import { whyUntrusted } from '../../base/trusted-path.ts'
import { type Complaint, judge, sentence } from './configuration.ts'
import { ConfigurationError } from './configuration-error.ts'
import { configurationBytesMax, configurationDepthMax } from './limits.ts'
import type { JudgedSettings } from './schema.ts'
import type { ConfigurationDocument } from './settings.ts'

/** A file that is valid by itself. */
export interface ConfigurationFile {
  readonly document: ConfigurationDocument
  readonly settings: JudgedSettings
}

/** @throws ConfigurationError */
export async function readConfigurationFile(file: string): Promise<ConfigurationFile> {
  return parseConfiguration(file, await textOf(file))
}

/**
 * @param file its name, for complaints
 * @throws ConfigurationError
 */
export function parseConfiguration(file: string, text: string): ConfigurationFile {
  const lineCounter = new LineCounter()
  const at = (offset: number, message: string) => {
    const { line, col } = lineCounter.linePos(offset)
    return `${file}:${line}:${col}: ${message}`
  }
  const deepLine = firstDeepLine(text)
  if (deepLine !== null) {
    throw new ConfigurationError([`${file}:${deepLine}:1: nested more than ${configurationDepthMax} deep`])
  }
  const yaml = parseDocument(text, { lineCounter, prettyErrors: false, stringKeys: true })
  const flaws = [...yaml.errors, ...yaml.warnings].map(({ pos, code, message }) => at(pos[0], advice[code] ?? message))
  visit(yaml, {
    Alias: (_key, { range, source }) => {
      flaws.push(at(range?.[0] ?? 0, `the alias *${source} is not accepted: write the value itself`))
    },
  })
  if (flaws.length > 0) throw new ConfigurationError(flaws)
  const document = (yaml.toJS({ maxAliasCount: 0 }) ?? {}) as ConfigurationDocument
  const { settings, complaints } = judge(document)
  if (settings) return { document, settings }
  throw new ConfigurationError(complaints.map(complaint => at(offsetOf(yaml, complaint), sentence(complaint))))
}

/** Advice for those errors of the parser whose own words give none. Source: yaml 2.9, ErrorCode. */
const advice: Partial<Record<ErrorCode, string>> = {
  DUPLICATE_KEY: 'this key is there already: write it once',
  MULTIPLE_DOCS: 'a second document begins here: keep one',
}

/**
 * The first line that nests too deep, or null. It is looked for before parsing: a parser recurses at each level, and a
 * stack overflow ends a process in places where nothing can be caught.
 */
function firstDeepLine(text: string): number | null {
  let [line, flow, compact] = [1, 0, 0]
  let isLineStart = true
  for (const lexeme of new Lexer().lex(text)) {
    if (lexeme === '[' || lexeme === '{') flow++
    else if (lexeme === ']' || lexeme === '}') flow--
    else if (lexeme === '-' || lexeme === '?') compact++
    // Every level of a block is indented further than the one around it, by two columns as people write it.
    const indented = isLineStart && /^ +$/.test(lexeme) ? lexeme.length / 2 : 0
    if (flow > configurationDepthMax || compact > configurationDepthMax || indented > 2 * configurationDepthMax)
      return line
    isLineStart = lexeme.endsWith('\n')
    if (isLineStart) compact = 0
    for (let k = lexeme.indexOf('\n'); k >= 0; k = lexeme.indexOf('\n', k + 1)) line++
  }
  return null
}

/** The offset in the text that a complaint belongs to; a missing key belongs to the mapping that lacks it. */
function offsetOf(yaml: Document.Parsed, { path, isKey }: Complaint): number {
  let node: Node | null = yaml.contents
  let offset = node?.range?.[0] ?? 0
  for (const [depth, key] of path.entries()) {
    const pair = pairOf(node, key)
    if (pair === null) return offset
    const isLast = depth === path.length - 1
    const keyOffset = (pair.key as Node | null)?.range?.[0] ?? offset
    node = pair.value as Node | null
    // An empty value has no place of its own.
    offset = (isLast && isKey) || !node?.range || isEmpty(node) ? keyOffset : node.range[0]
    if (!isLast && isMap(node)) offset = keyOffset
  }
  return offset
}

function pairOf(node: Node | null, key: PropertyKey): Pair<unknown, unknown> | null {
  if (isMap(node)) return node.items.find(item => isScalar(item.key) && item.key.value === key) ?? null
  if (!isSeq(node) || typeof key !== 'number') return null
  const item = node.items[key]
  return isPair(item) ? item : ({ key: null, value: item } as unknown as Pair<unknown, unknown>)
}

function isEmpty(node: Node): boolean {
  return isScalar(node) && node.value === null && node.source === ''
}

/** True when the opened file is the one that was judged by its path. */
function isSame(a: Stats, b: Stats): boolean {
  return a.dev === b.dev && a.ino === b.ino
}

/** @throws ConfigurationError */
async function textOf(file: string): Promise<string> {
  try {
    const handle = await open(file, 'r')
    try {
      const opened = await handle.stat()
      if (!opened.isFile()) throw new Error('not a regular file')
      const why = whyUntrusted(file) ?? (isSame(opened, await stat(file)) ? null : 'it was exchanged meanwhile')
      if (why !== null) throw new Error(why)
      const bytes = Buffer.alloc(configurationBytesMax + 1)
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0)
      if (bytesRead > configurationBytesMax) throw new Error(`longer than ${configurationBytesMax} bytes`)
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, bytesRead))
    } finally {
      await handle.close()
    }
  } catch (cause) {
    throw new ConfigurationError([`configuration file ${file} cannot be used: ${messageOf(cause)}`], { cause })
  }
}
