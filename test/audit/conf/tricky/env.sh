#!/bin/sh
#! core_dump low
ulimit -S -c unlimited
#! core_dump low
ulimit -Sc unlimited
#~ core_dump
ulimit -S -n unlimited
