// SPDX-License-Identifier: PostgreSQL
// attacker.js: a process that carries out one attack of attacks.js, at the least priority. Told by hostile.js:
//
//   { attack, place }    its name, and where: see `place` in hostile.js; answered { ready: true } when it is under way
//   { stop: true }       answered { outcomes: { what: times } }: how its calls ended
//
// Attacker is what attacks are written in: all its sockets come from one address, and each call is counted by its outcome.

import { request } from 'node:http';
import { connect } from 'node:net';
import { performance } from 'node:perf_hooks';
import { RpcError, sleep, Socket, within } from '../e2e/harness.js';
import { attacks } from './attacks.js';

class Attacker
{
	constructor(place)
	{
		Object.assign(this, place);
		this.going = true;
		this.outcomes = {};
		this.serial = 0;
		this.sockets = new Set();
	}

	// The only user of most attacks.
	get user() { return this.users[0]; }

	unique(prefix) { return `${prefix}${process.pid}x${++this.serial}`; }

	count(outcome, times = 1) { this.outcomes[outcome] = (this.outcomes[outcome] ?? 0) + times; }

	// Counts how a promise ends; never throws.
	async counted(promise)
	{
		try
		{
			const result = await promise;
			this.count('done');
			return result;
		}
		catch (error)
		{
			if (this.going)
				this.count(error instanceof RpcError ? `${error.code} ${error.data?.reason ?? ''}` : error.message.slice(0, 60));
			// Who is refused at once would spend all its time on being refused.
			await sleep(error instanceof RpcError ? 0 : 50);
			return undefined;
		}
	}

	// A socket that keeps nothing of what it is told; without a user it is anonymous.
	async socket(user)
	{
		const headers = user ? { Authorization: `Bearer ${user.token}` } : {};
		const socket = new Socket(this.url, headers, ['chat.v1'], { localAddress: this.address });
		socket.pushes.push = socket.events.push = socket.cursors.push = socket.others.push = () => 0;
		this.sockets.add(socket);
		socket.closed.then(() => this.sockets.delete(socket));
		await within(socket.opened, 'handshake');
		return socket;
	}

	// So many loops until the end; `turn(i)` is the i-th loop's turn, and again after it has ended.
	loops(count, turn)
	{
		for (let i = 0; i < count; i++)
			(async () => {
				while (this.going)
					await this.counted(turn(i));
			})();
	}

	// So many sockets of a user (of none: anonymous ones) with so many calls in flight each. A socket that is closed is opened
	// again. `call(socket)` is one call.
	async flood({ sockets = 1, depth = 32, user = this.user, call })
	{
		for (let i = 0; i < sockets; i++)
		{
			let opening = this.socket(user);
			await this.counted(opening);
			this.loops(depth, async () => {
				let socket = await opening.catch(() => null);
				if (!socket || socket.ended)
				{
					opening = socket && socket !== await opening.catch(() => null) ? opening : this.socket(user);
					socket = await opening;
				}
				return call(socket);
			});
		}
	}

	// `turn` so many times a second, whether the earlier ones have ended or not, but for `most` at a time.
	pace(rate, turn, most = 1000)
	{
		const begin = performance.now();
		let made = 0;
		let open = 0;
		const timer = setInterval(() => {
			if (!this.going)
				return clearInterval(timer);
			for (const due = (performance.now() - begin) * rate / 1000; made < due; made++)
				if (open < most)
				{
					open++;
					this.counted(turn(made)).finally(() => open--);
				}
			return undefined;
		}, 5);
	}

	// A connection that sends this text and reads nothing, unless told to.
	raw(text = '', read = false)
	{
		const socket = connect({ port: this.port, host: '127.0.0.1', localAddress: this.address });
		socket.on('error', () => {});
		if (!read)
			socket.pause();
		else
			socket.resume();
		socket.write(text);
		this.count('connections');
		socket.once('close', () => this.going && this.count('connections closed'));
		return socket;
	}

	// An HTTP request; the answer's status, its body read and dropped.
	http(method, path, { body, headers = {}, user = this.user, agent = false } = {})
	{
		return new Promise((done, failed) => {
			const asked = request(`${this.base}${path}`, { method, agent, localAddress: this.address,
				headers: { ...user ? { Authorization: `Bearer ${user.token}` } : {}, ...body ? { 'Content-Length': Buffer.byteLength(body) } : {}, ...headers } });
			asked.on('response', answer => answer.on('error', failed).on('end', () => {
				this.count(`HTTP ${answer.statusCode}`);
				done(answer.statusCode);
			}).resume()).on('error', failed);
			asked.end(body);
		});
	}
}

let attacker;

process.on('message', async message => {
	if (message.stop)
	{
		attacker.going = false;
		process.send({ outcomes: attacker.outcomes }, () => process.exit());
		return;
	}
	try
	{
		attacker = new Attacker(message.place);
		await attacks[message.attack].run(attacker);
		process.send({ ready: true });
	}
	catch (error)
	{
		process.send({ broken: error.stack });
	}
});
process.on('disconnect', () => process.exit());
process.on('unhandledRejection', error => attacker?.count(`unhandled: ${error.message.slice(0, 60)}`));
