#!/bin/sh
#! core_dump low
ulimit -S -c unlimited
#! core_dump low
ulimit -Sc unlimited
#~ core_dump
ulimit -S -n unlimited
#! core_dump low
ulimit -n 5 -c unlimited
#! core_dump low
ulimit -H -c unlimited -n 65536
#~ core_dump
ulimit -c 0 -n unlimited
