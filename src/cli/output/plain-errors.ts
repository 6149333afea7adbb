/** Failed system calls in messages: the words for people without the name of the error and of the call. */

/**
 * `ENOENT: no such file or directory, open '/x'` in words: `no such file or directory`, with the path where nothing
 * before it has it. Source: libuv, src/unix/core.c, uv_strerror; Node.js, lib/internal/errors.js, UVException.
 */
export function withoutErrno(text: string): string {
  const call = /\bE[A-Z0-9]+: ([^,:']+), [a-z]+(?: '([^']*)')?(?: -> '[^']*')?/g
  return text.replace(call, (_, what: string, path: string | undefined, at: number) =>
    path === undefined || text.slice(0, at).includes(path) ? what : `${path}: ${what}`,
  )
}
