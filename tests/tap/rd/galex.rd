<resource schema="galex" resdir="galex">
  <meta name="creationDate">2026-01-01T00:00:00Z</meta>
  <meta name="title">A loopback catalogue in the shape of GALEX's</meta>
  <meta name="description">Made-up ultraviolet sources in the columns of VizieR's II/335/galex_ais,
    and the fields that were observed, served only for tests.</meta>
  <meta name="subject">ultraviolet-astronomy</meta>
  <meta name="creator">jpassed test suite</meta>
  <meta name="contentLevel">Research</meta>
  <meta name="type">Catalog</meta>
  <meta name="coverage.waveband">UV</meta>

  <table id="ais" onDisk="True" adql="True" primary="name" mixin="//scs#q3cindex">
    <meta name="description">Ultraviolet sources; a magnitude is NULL where there was no detection
      or no exposure.</meta>
    <column name="name" type="text" ucd="meta.id;meta.main" required="True"
      description="Name of the source"/>
    <column name="RAJ2000" type="double precision" unit="deg" ucd="pos.eq.ra;meta.main"
      required="True" description="Right ascension, ICRS"/>
    <column name="DEJ2000" type="double precision" unit="deg" ucd="pos.eq.dec;meta.main"
      required="True" description="Declination, ICRS"/>
    <LOOP>
      <csvItems>
        band, ucd
        FUV, em.UV.100-200nm
        NUV, em.UV.200-300nm
      </csvItems>
      <events>
        <column name="\band\+mag" type="real" unit="mag" ucd="phot.mag;\ucd"
          description="AB magnitude in \band"/>
        <column name="e_\band\+mag" type="real" unit="mag" ucd="stat.error;phot.mag;\ucd"
          description="1-sigma error of the AB magnitude in \band"/>
      </events>
    </LOOP>
  </table>

  <!-- VizieR's name of the table, as a query has to quote it; import_resources.py makes the view. -->
  <table id="II/335/galex_ais" onDisk="False" original="ais"/>

  <table id="fields" onDisk="True" adql="True" primary="field_id">
    <meta name="description">Circles on the sky that were observed.</meta>
    <column name="field_id" type="integer" ucd="meta.id;obs.field" required="True"
      description="Number of the field"/>
    <column name="ra" type="double precision" unit="deg" ucd="pos.eq.ra;meta.main"
      description="Right ascension of the centre, ICRS"/>
    <column name="dec" type="double precision" unit="deg" ucd="pos.eq.dec;meta.main"
      description="Declination of the centre, ICRS"/>
    <column name="radius" type="double precision" unit="deg" ucd="phys.angSize"
      description="Radius of the field"/>
    <LOOP listItems="fuv nuv">
      <events>
        <column name="\item\+_exptime" type="real" unit="s" ucd="time.duration;obs.exposure"
          description="Exposure time in \item; 0 where the band was off"/>
      </events>
    </LOOP>
    <LOOP listItems="fuv nuv">
      <events>
        <column name="\item\+_limit" type="real" unit="mag" ucd="phot.mag;em.UV;stat.max"
          description="5-sigma AB magnitude limit in \item; NULL where the band was off"/>
      </events>
    </LOOP>
  </table>

  <STREAM id="rows">
    <make table="\table">
      <script type="preIndex" lang="python" name="fill the table" notify="False">
        import make_galex
        make_galex.fill(table)
      </script>
    </make>
  </STREAM>
  <data id="import">
    <FEED source="rows" table="ais"/>
    <FEED source="rows" table="fields"/>
  </data>

  <service id="cone" allowed="scs.xml,form">
    <meta name="title">GALEX-like cone search</meta>
    <meta name="shortName">galex cone</meta>
    <meta name="testQuery.ra">214.3</meta>
    <meta name="testQuery.dec">52.5</meta>
    <meta name="testQuery.sr">0.1</meta>
    <publish render="scs.xml" sets="local"/>
    <scsCore queriedTable="ais">
      <FEED source="//scs#coreDescs"/>
    </scsCore>
  </service>
</resource>
