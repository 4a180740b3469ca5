// SPDX-License-Identifier: PostgreSQL
// raw.js: a connection as it stands, for what fetch would tidy up. `write` sends text, `status(n)` waits for the n-th
// answer, `end` for the server's last word; `pause` leaves unread what comes.

import { connect } from 'node:net';
import { until } from './harness.js';

export class Raw
{
	// From another address than 127.0.0.1: another client.
	constructor(port, localAddress)
	{
		this.text = '';
		this.socket = connect({ port, host: '127.0.0.1', localAddress, allowHalfOpen: true });
		this.socket.setEncoding('latin1');
		this.socket.on('data', chunk => this.text += chunk);
		this.socket.on('error', () => {});
		this.end = new Promise(done => this.socket.once('end', done).once('close', done));
	}

	write(text) { this.socket.write(text); return this; }

	get statuses() { return [...this.text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(match => Number(match[1])); }

	status(n = 1) { return until(() => this.statuses[n - 1], `answer ${n} in ${JSON.stringify(this.text)}`); }

	close() { this.socket.destroy(); }
}
