/**
 * Switches off the inspector by signal: SIGUSR1 makes Node listen on a port of 127.0.0.1, and every local user who
 * connects there runs any code as the user of the process. Each program of ours imports this file before all else; from
 * then on the signal does nothing. Source: Node.js, "Signal events", SIGUSR1.
 *
 * Until a program has been loaded the signal is Node's. So each is started with an inspector address that no process
 * can listen on: so early a signal costs a line on standard error. (--disable-sigusr1 would do the same, but Node 20
 * does not have it.)
 */

/**
 * Arguments of Node before the program. A link-local address is refused without the name of a link, whatever addresses
 * there are. Source: Linux net/ipv6/af_inet6.c, __inet6_bind, "Binding to link-local address requires an interface".
 */
export const noInspectorArguments: readonly string[] = ['--inspect-port=[fe80::1]:9229']

// Never taken back: without a listener the signal would end the process.
process.on('SIGUSR1', () => {})
