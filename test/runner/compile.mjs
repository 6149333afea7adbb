/**
 * Brings dist/, build/ and the addon up to date before `npx tap` runs a test file, as `make test` does. JavaScript, because
 * nothing may be compiled yet.
 */
import { spawnSync } from 'node:child_process'

const targets = ['addon', 'dist/.built', 'build/.built']
const { status } = spawnSync('make', ['--no-print-directory', ...targets], { stdio: ['ignore', 2, 2] })
process.exitCode = status ?? 1
