// SPDX-License-Identifier: PostgreSQL
// nemesis.js: what goes wrong in a run: one fault after the other, each kind at least once when there is time for it, in an
// order that the seed decides. heal() puts everything right again.
//
// A fault that finds nothing to hit is recorded as skipped; a run that has time for all kinds fails when one was skipped always.

import { sleep, until } from '../e2e/harness.js';
import { LISTENER } from './lab.js';

const MODES = ['deferred', 'transactional', 'outbox'];

export class Nemesis
{
	constructor(lab, record, random)
	{
		Object.assign(this, { lab, record, random });
		this.injected = {}; // kind → how often
		this.skipped = {};
		this.stopped = new Set(); // process ids under SIGSTOP
		this.mode = MODES[0];
		this.kinds = ['backend', 'notifier', 'stalled notifier', 'postmaster', 'worker', 'stopped worker', 'stopped gateway', 'listener',
			'delivery', 'clock'];
	}

	// Faults for so many milliseconds.
	async rage(duration)
	{
		const end = performance.now() + duration;
		const pause = duration / (this.kinds.length * 1.6);
		while (performance.now() < end)
			for (const kind of this.random.shuffle(this.kinds))
			{
				await sleep(pause * (0.2 + 0.5 * this.random.next()));
				if (performance.now() >= end)
					break;
				await this.#inject(kind);
			}
	}

	async #inject(kind)
	{
		const faults = {
			'backend': () => this.#kill(this.#backend("backend_type = 'client backend' AND usename = 'gateway'")),
			'notifier': () => this.#kill(this.#notifier()),
			'stalled notifier': () => this.#stall(this.#notifier(), 1500),
			'postmaster': () => this.#restart(),
			'worker': () => this.#kill(this.#worker()),
			'stopped worker': () => this.#stall(this.#worker(), this.random.between(500, 10000)),
			'stopped gateway': () => this.#stall(this.lab.gateway.workers(), this.random.between(500, 6000)),
			'listener': () => this.#terminate(),
			'delivery': () => this.#switchDelivery(),
			'clock': () => this.#stepClock()
		};
		try
		{
			this.record.write('nemesis', kind);
			const what = await faults[kind]();
			this.record.write('nemesis', `${kind} done`, what);
			this.injected[kind] = (this.injected[kind] ?? 0) + 1;
		}
		catch (error)
		{
			this.record.write('nemesis', `${kind} skipped`, error.message);
			this.skipped[kind] = error.message.split('\n')[0];
		}
	}

	async #backend(condition)
	{
		await this.lab.serves();
		const pids = await this.lab.backends(condition);
		if (pids.length === 0)
			throw new Error('there is none');
		return this.random.pick(pids);
	}

	// It is there while events are deferred, and some seconds longer.
	async #notifier()
	{
		if (this.mode !== MODES[0])
			await this.#setDelivery(MODES[0]);
		return until(() => this.#backend("backend_type = 'chat notifier'").catch(() => null), 'there is a notifier', 4000);
	}

	async #worker() { return this.random.pick(await this.lab.gateway.workers()); }

	async #kill(pid)
	{
		process.kill(await pid, 'SIGKILL');
	}

	async #stall(pids, ms)
	{
		for (const pid of [await pids].flat())
		{
			process.kill(pid, 'SIGSTOP');
			this.stopped.add(pid);
		}
		await sleep(ms);
		this.#resume();
		return ms;
	}

	// Whoever has gone meanwhile has nothing to be resumed.
	#resume()
	{
		for (const pid of this.stopped)
		{
			this.stopped.delete(pid);
			try
			{
				process.kill(pid, 'SIGCONT');
			}
			catch {}
		}
	}

	async #restart()
	{
		process.kill(await this.lab.postmaster(), 'SIGKILL');
		await this.#start();
	}

	// Nothing, if it runs.
	#start()
	{
		return until(() => this.lab.cluster('start').then(() => true), 'the server starts', 60000);
	}

	async #terminate()
	{
		await this.lab.serves();
		const ended = await this.lab.sql(`SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity
			WHERE application_name = '${LISTENER}' ORDER BY random() LIMIT 1) l`);
		if (ended === '0')
			throw new Error('there is none');
	}

	async #switchDelivery()
	{
		const mode = this.random.pick(MODES.filter(other => other !== this.mode));
		await this.#setDelivery(mode);
		return mode;
	}

	async #setDelivery(mode)
	{
		await this.lab.serves();
		await this.lab.sql(mode ? `ALTER SYSTEM SET chat.delivery = '${mode}'` : 'ALTER SYSTEM RESET chat.delivery');
		await this.lab.sql('SELECT pg_reload_conf()');
		this.mode = mode ?? MODES[0];
	}

	async #stepClock()
	{
		if (!this.lab.hasFakeClock)
			throw new Error('libfaketime is not installed');
		const seconds = this.random.between(-300, 120);
		this.lab.setClock(seconds);
		return seconds;
	}

	// The kinds that have hit nothing, and why.
	get missed()
	{
		return Object.fromEntries(this.kinds.filter(kind => !this.injected[kind]).map(kind => [kind, this.skipped[kind] ?? 'there was no time']));
	}

	async heal()
	{
		this.#resume();
		this.lab.setClock(0);
		await this.#start();
		await this.lab.serves();
		await this.#setDelivery(null);
	}
}
