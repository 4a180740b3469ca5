// SPDX-License-Identifier: PostgreSQL
// stream.js: GET /events as a client reads it. `pushes` is [method, params] of all that came, `lastId` what goes back as
// Last-Event-ID, `retry` the last pause it was told; `ended` resolves when the connection ends. `pause()` stops reading.

import { once } from 'node:events';
import { request } from 'node:http';
import { until, within } from './harness.js';

export class Stream
{
	static async open(world, { token, ticket, since, lastId, headers = {}, method = 'GET' } = {})
	{
		const stream = Object.assign(new Stream(), { pushes: [], comments: 0, text: '' });
		const query = new URLSearchParams({ ...ticket === undefined ? {} : { ticket }, ...since === undefined ? {} : { since } });
		const asked = request(`${world.http}/events?${query}`, { method, agent: false,
			headers: { ...token ? { Authorization: `Bearer ${token}` } : {}, ...lastId === undefined ? {} : { 'Last-Event-ID': lastId }, ...headers } });
		asked.on('error', () => {});
		asked.end();
		const [response] = await within(once(asked, 'response'), 'answer');
		Object.assign(stream, { response, status: response.statusCode, headers: response.headers });
		response.setEncoding('utf8');
		response.on('data', chunk => stream.#read(chunk));
		response.on('error', () => {});
		stream.ended = new Promise(done => response.once('close', done));
		return stream;
	}

	#read(chunk)
	{
		this.text += chunk;
		for (let end; this.status === 200 && (end = this.text.indexOf('\n\n')) >= 0; this.text = this.text.slice(end + 2))
			this.#take(this.text.slice(0, end).split('\n'));
	}

	#take(lines)
	{
		const field = name => lines.find(line => line.startsWith(`${name}: `))?.slice(name.length + 2);
		this.comments += lines.filter(line => line.startsWith(':')).length;
		this.lastId = field('id') ?? this.lastId;
		this.retry = Number(field('retry') ?? this.retry);
		if (field('event'))
			this.pushes.push([field('event'), JSON.parse(field('data'))]);
	}

	count(name) { return this.pushes.filter(([method]) => method === name).length; }

	// The first push of this name that fits, now or later; it stays.
	push(name, fits = () => true)
	{
		return until(() => this.pushes.find(([method, params]) => method === name && fits(params)), name).then(([, params]) => params);
	}

	message(id) { return this.push('event', event => event.id === id); }

	pause() { this.response.pause(); }

	resume() { this.response.resume(); }

	close() { this.response.destroy(); }
}
