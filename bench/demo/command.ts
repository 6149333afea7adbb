/**
 * The command `parentfs`, called as a user calls it.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** The built command, as `make build` leaves it. */
const main = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url))

/**
 * Run it to its end.
 * @returns what it wrote to standard output
 * @throws Error with what it wrote to standard error
 */
export async function parentfs(...args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [main, ...args])
    return stdout
  } catch (cause) {
    const { stderr } = cause as { stderr?: string }
    throw new Error(stderr?.trim() || String(cause), { cause })
  }
}
